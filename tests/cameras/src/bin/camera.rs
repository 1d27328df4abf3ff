//! An RTSP server that plays one elementary stream in a loop and in real time, as a camera does.
//!
//! ```text
//! file ─▶ access units in memory ─▶ appsrc (live) ─▶ payloader ─▶ (lose packets) ─▶ clients
//! ```

use std::{
    io::{self, Read as _, Write as _},
    path::{Path, PathBuf},
    process, thread,
};

use anyhow::{Context as _, ensure};
use clap::Parser;
use gstreamer::{self as gst, glib, prelude::*};
use gstreamer_app::{AppSink, AppSrc, AppSrcCallbacks};
use gstreamer_rtsp_server::{self as gst_rtsp_server, gst_rtsp, prelude::*};
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

/// Plays an elementary stream over RTSP, on the loopback interface only.
#[derive(Debug, Parser)]
struct Arguments {
    /// Port to listen on; 0 chooses a free one.
    #[arg(long, default_value_t = 0)]
    port: u16,
    /// Path of the URL.
    #[arg(long, default_value = "cam")]
    path: String,
    /// File to play, .h264 or .h265, without B-frames.
    #[arg(long)]
    media: PathBuf,
    /// Frames per second.
    #[arg(long, default_value_t = 25, value_parser = clap::value_parser!(u32).range(1..=240))]
    fps: u32,
    /// User that a client must give.
    #[arg(long, requires = "password")]
    user: Option<String>,
    /// Password that a client must give.
    #[arg(long, requires = "user")]
    password: Option<String>,
    /// Share of RTP packets that are lost, 0 to 1.
    #[arg(long, default_value_t = 0.0)]
    lose: f64,
    /// Seed of the choice of lost packets.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Ends the stream at the end of the file.
    #[arg(long)]
    once: bool,
    /// Ends with standard input, so that it does not outlive a test that is killed.
    #[arg(long)]
    leashed: bool,
}

/// A codec, and its elements of GStreamer.
struct Codec {
    name: &'static str,
    parser: &'static str,
    payloader: &'static str,
}

/// The access units of a file, in order.
#[derive(Clone)]
struct Media {
    caps: gst::Caps,
    access_units: Vec<gst::Buffer>,
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    ensure!((0.0..=1.0).contains(&arguments.lose), "--lose must be 0 to 1");
    gst::init()?;
    if arguments.leashed {
        end_with_input()?;
    }
    let codec = Codec::of(&arguments.media)?;
    let media = codec.read(&arguments.media)?;
    let server = gst_rtsp_server::RTSPServer::new();
    server.set_address("127.0.0.1");
    server.set_service(&arguments.port.to_string());
    if let (Some(user), Some(password)) = (&arguments.user, &arguments.password) {
        server.set_auth(Some(&only_for(user, password)));
    }
    let path = format!("/{}", arguments.path.trim_start_matches('/'));
    let mounts = server.mount_points().context("the server has no mount points")?;
    mounts.add_factory(&path, codec.factory(media, &arguments)?);
    let _attached = server
        .attach(None)
        .with_context(|| format!("cannot listen on port {} of 127.0.0.1", arguments.port))?;
    let mut stdout = io::stdout();
    writeln!(stdout, "rtsp://127.0.0.1:{}{path}", server.bound_port())?;
    stdout.flush()?;
    glib::MainLoop::new(None, false).run();
    Ok(())
}

fn end_with_input() -> io::Result<()> {
    let wait = || {
        let _ = io::stdin().read_to_end(&mut Vec::new());
        process::exit(0);
    };
    thread::Builder::new().name("leash".into()).spawn(wait)?;
    Ok(())
}

/// Gives clients with this password the role that the factory's permissions name.
fn only_for(user: &str, password: &str) -> gst_rtsp_server::RTSPAuth {
    let role = gst_rtsp_server::RTSP_TOKEN_MEDIA_FACTORY_ROLE;
    let token = gst_rtsp_server::RTSPToken::builder().field(role, "viewer").build();
    let auth = gst_rtsp_server::RTSPAuth::new();
    auth.set_supported_methods(gst_rtsp::RTSPAuthMethod::Digest);
    auth.add_digest(user, password, &token);
    auth
}

impl Codec {
    fn of(path: &Path) -> anyhow::Result<Self> {
        match path.extension().and_then(|it| it.to_str()) {
            Some("h264") => Ok(Self { name: "h264", parser: "h264parse", payloader: "rtph264pay" }),
            Some("h265") => Ok(Self { name: "h265", parser: "h265parse", payloader: "rtph265pay" }),
            _ => anyhow::bail!("{}: --media must end in .h264 or .h265", path.display()),
        }
    }

    /// Reads a file as access units.
    fn read(&self, path: &Path) -> anyhow::Result<Media> {
        let Self { name, parser, .. } = self;
        let launch = format!(
            "filesrc name=file ! {parser} \
             ! video/x-{name},stream-format=byte-stream,alignment=au ! appsink name=out sync=false"
        );
        let pipeline = gst::parse::launch(&launch)?.downcast::<gst::Pipeline>().ok();
        let pipeline = pipeline.context("not a pipeline")?;
        let file = pipeline.by_name("file").context("no filesrc")?;
        file.set_property("location", path);
        let out = pipeline.by_name("out").and_then(|it| it.downcast::<AppSink>().ok());
        let out = out.context("no appsink")?;
        let unplayable = || format!("{}: cannot be played as {name}", path.display());
        pipeline.set_state(gst::State::Playing).with_context(unplayable)?;
        let samples: Vec<_> = std::iter::from_fn(|| out.pull_sample().ok()).collect();
        pipeline.set_state(gst::State::Null)?;
        let caps = samples.first().and_then(|it| it.caps_owned()).with_context(unplayable)?;
        let access_units = samples.iter().filter_map(|it| it.buffer_owned()).collect();
        Ok(Media { caps, access_units })
    }

    fn factory(
        &self,
        media: Media,
        arguments: &Arguments,
    ) -> anyhow::Result<gst_rtsp_server::RTSPMediaFactory> {
        let factory = gst_rtsp_server::RTSPMediaFactory::new();
        let payloader = self.payloader;
        factory.set_launch(&format!(
            "( appsrc name=feed ! {payloader} name=pay0 pt=96 config-interval=-1 )"
        ));
        factory.set_shared(true);
        // Without a pool of addresses, UDP sockets would be open to the network.
        let pool = gst_rtsp_server::RTSPAddressPool::new();
        pool.add_range("127.0.0.1", "127.0.0.1", 20_000, 29_999, 0)?;
        factory.set_address_pool(Some(&pool));
        let viewer = gst::Structure::builder("viewer")
            .field(gst_rtsp_server::RTSP_PERM_MEDIA_FACTORY_ACCESS, true)
            .field(gst_rtsp_server::RTSP_PERM_MEDIA_FACTORY_CONSTRUCT, true)
            .build();
        if arguments.user.is_some() {
            factory.add_role_from_structure(&viewer);
        }
        let (fps, once) = (u64::from(arguments.fps), arguments.once);
        let (lose, seed) = (arguments.lose, arguments.seed);
        factory.connect_media_configure(move |_, prepared| {
            let bin = prepared.element().downcast::<gst::Bin>().ok();
            let part = |name: &str| bin.as_ref().and_then(|it| it.by_name(name));
            if let Some(feed) = part("feed").and_then(|it| it.downcast::<AppSrc>().ok()) {
                play(&feed, media.clone(), fps, once);
            }
            if let Some(pad) = part("pay0").and_then(|it| it.static_pad("src")) {
                lose_some(&pad, lose, seed);
            }
        });
        Ok(factory)
    }
}

/// Pushes one access unit whenever one is asked for; the server's sinks send in real time.
fn play(feed: &AppSrc, media: Media, fps: u64, once: bool) {
    feed.set_caps(Some(&media.caps));
    feed.set_format(gst::Format::Time);
    feed.set_is_live(true);
    let time = move |number: u64| gst::ClockTime::SECOND.mul_div_floor(number, fps);
    let mut number = 0;
    let push = move |feed: &AppSrc, _| {
        let length = media.access_units.len() as u64;
        if once && number >= length {
            let _ = feed.end_of_stream();
            return;
        }
        let mut buffer = media.access_units[(number % length) as usize].copy();
        let (start, end) = (time(number), time(number + 1));
        let stamped = buffer.make_mut();
        stamped.set_pts(start);
        stamped.set_dts(start);
        stamped.set_duration(start.zip(end).map(|(start, end)| end - start));
        number += 1;
        // The push fails when the last client has left.
        let _ = feed.push_buffer(buffer);
    };
    feed.set_callbacks(AppSrcCallbacks::builder().need_data(push).build());
}

/// Loses RTP packets after they got their sequence numbers, so that a client sees gaps.
fn lose_some(pad: &gst::Pad, share: f64, seed: u64) {
    let random = std::sync::Mutex::new(ChaCha8Rng::seed_from_u64(seed));
    let lost = move || random.lock().is_ok_and(|mut it| it.random_bool(share));
    let kind = gst::PadProbeType::BUFFER | gst::PadProbeType::BUFFER_LIST;
    pad.add_probe(kind, move |_, info| {
        let kept = match &mut info.data {
            Some(gst::PadProbeData::BufferList(list)) => {
                let list = list.make_mut();
                for packet in (0..list.len()).rev() {
                    if lost() {
                        list.remove(packet..=packet);
                    }
                }
                !list.is_empty()
            }
            _ => !lost(),
        };
        // Drop instead of Handled prints a critical message before GStreamer 1.24.8.
        if kept { gst::PadProbeReturn::Ok } else { gst::PadProbeReturn::Handled }
    });
}
