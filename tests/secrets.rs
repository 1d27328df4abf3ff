//! A known password is passed to the program in every way that it accepts, and searched for, in
//! every encoding, in everything that the program prints and writes.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::Builder;

use arrow::array::{Array as _, ArrayData, ArrayRef, RecordBatch, StringArray};
use parquet::arrow::{ArrowWriter, arrow_reader::ParquetRecordBatchReaderBuilder};
use parquet::basic::Compression;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;

use support::{Done, Running, Setup, files, finish, has_extension, looped, media};

const USER: &str = "warden";
const PASSWORD: &str = "ca/na@ry+Pw7z";
const ENCODED: &str = "ca%2Fna%40ry%2BPw7z";

/// The user and the password in every encoding; none may be found.
const FORMS: [&str; 8] = [
    USER,
    PASSWORD,
    ENCODED,
    "ca%2fna%40ry%2bPw7z",
    // With `+`, which need not be encoded, as it is.
    "ca%2Fna%40ry+Pw7z",
    "ca%2fna%40ry+Pw7z",
    // Base64 of `warden:ca/na@ry+Pw7z` and of the password alone.
    "d2FyZGVuOmNhL25hQHJ5K1B3N3o",
    "Y2EvbmFAcnkrUHc3eg",
];

/// The streams that cannot be read, by name; each gets the secret in another way.
const STREAMS: [&str; 5] = ["literal", "refused", "variable", "credential", "token"];

/// Everything that was printed and written, with the place where it is.
#[derive(Default)]
struct Places(Vec<(String, Vec<u8>)>);

impl Places {
    fn add(&mut self, place: &str, bytes: impl Into<Vec<u8>>) {
        self.0.push((place.into(), bytes.into()));
    }

    fn add_output(&mut self, done: &Done) {
        self.add("standard output", done.stdout.as_str());
        self.add("standard error", done.stderr.as_str());
    }

    /// Adds every file below a folder, and the uncompressed columns of Parquet files.
    fn add_folder(&mut self, folder: &Path) {
        for (path, bytes) in files(folder) {
            let place = path.display().to_string();
            if has_extension(&path, "parquet") {
                self.add(&format!("{place}, unpacked"), unpacked(&path));
            }
            self.add(&place, bytes);
            self.add("a file's name", place);
        }
    }

    /// Adds the command lines of a process and of its descendants.
    fn add_command_lines(&mut self, id: u32) {
        let commands = family(id);
        assert!(!commands.is_empty(), "process {id} is gone");
        for id in commands {
            // A child may have ended meanwhile.
            let Ok(line) = fs::read(format!("/proc/{id}/cmdline")) else { continue };
            self.add(&format!("the command line of {id}"), line);
        }
    }

    /// The places of the secret, each with the form that was found there.
    fn found(&self) -> Vec<(&str, &str)> {
        let holds = |bytes: &[u8], form: &str| {
            bytes.windows(form.len()).any(|it| it.eq_ignore_ascii_case(form.as_bytes()))
        };
        let places = self.0.iter();
        let pairs = places.flat_map(|it| FORMS.into_iter().map(move |form| (it, form)));
        pairs.filter(|(it, form)| holds(&it.1, form)).map(|(it, form)| (&*it.0, form)).collect()
    }

    fn assert_clean(&self) {
        let found = self.found();
        assert!(found.is_empty(), "{found:#?}");
    }
}

/// Every byte of every column of a Parquet file, and its metadata.
fn unpacked(path: &Path) -> Vec<u8> {
    let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(path).unwrap()).unwrap();
    let mut bytes = format!("{:?}", reader.metadata().file_metadata()).into_bytes();
    for batch in reader.build().unwrap() {
        batch.unwrap().columns().iter().for_each(|it| buffers(&it.to_data(), &mut bytes));
    }
    bytes
}

fn buffers(data: &ArrayData, bytes: &mut Vec<u8>) {
    data.buffers().iter().for_each(|it| bytes.extend_from_slice(it.as_slice()));
    data.child_data().iter().for_each(|it| buffers(it, bytes));
}

/// A process and its descendants.
fn family(id: u32) -> Vec<u32> {
    let entries = fs::read_dir("/proc").unwrap().filter_map(Result::ok);
    let ids = entries.filter_map(|it| it.file_name().to_str()?.parse().ok());
    let parents: Vec<(u32, u32)> = ids.filter_map(|id| Some((id, parent(id)?))).collect();
    let mut family: Vec<u32> = parents.iter().map(|it| it.0).filter(|it| *it == id).collect();
    let mut next = 0;
    while let Some(id) = family.get(next).copied() {
        family.extend(parents.iter().filter(|it| it.1 == id).map(|it| it.0));
        next += 1;
    }
    family
}

fn parent(id: u32) -> Option<u32> {
    let status = fs::read_to_string(format!("/proc/{id}/status")).ok()?;
    let line = status.lines().find(|it| it.starts_with("PPid:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

/// A server on the loopback interface that accepts no password and records what it receives.
struct Refusing {
    address: SocketAddr,
    heard: Arc<Mutex<String>>,
}

impl Refusing {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let server = Self { address: listener.local_addr().unwrap(), heard: Arc::default() };
        let heard = server.heard.clone();
        let accept = move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let heard = heard.clone();
                let serve = move || drop(answer(&stream, &heard));
                Builder::new().name("connection".into()).spawn(serve).unwrap();
            }
        };
        Builder::new().name("server".into()).spawn(accept).unwrap();
        server
    }

    fn assert_heard(&self, part: &str) {
        let heard = self.heard.lock().unwrap();
        assert!(heard.contains(part), "no {part:?} in what the server heard:\n{heard}");
    }
}

/// Answers every request of HTTP or RTSP on a connection.
fn answer(mut stream: &TcpStream, heard: &Mutex<String>) -> std::io::Result<()> {
    let (mut request, mut sequence) = (String::new(), String::new());
    for line in BufReader::new(stream).lines() {
        let line = line?;
        *heard.lock().unwrap() += &format!("{line}\n");
        if request.is_empty() {
            request = line;
        } else if line.starts_with("CSeq:") {
            sequence = line + "\r\n";
        } else if line.is_empty() {
            let protocol = request.split_whitespace().last().unwrap_or_default();
            let status =
                if request.contains("token") { "404 Not Found" } else { "401 Unauthorized" };
            write!(
                stream,
                "{protocol} {status}\r\n{sequence}WWW-Authenticate: Basic realm=\"door\"\r\n\
                 Content-Length: 0\r\n\r\n"
            )?;
            request.clear();
        }
    }
    Ok(())
}

/// A run with a healthy stream and [`STREAMS`].
struct Canary {
    setup: Setup,
    server: Refusing,
    places: Places,
}

impl Canary {
    fn new() -> Self {
        let server = Refusing::start();
        // The listener is closed at once, so that nothing answers there.
        let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let open = server.address;
        let uris = [
            format!("rtsp://{USER}:{ENCODED}@{closed}/literal"),
            format!("rtsp://{USER}:{ENCODED}@{open}/refused"),
            format!("rtsp://${{DOOR_USER}}:${{DOOR_PASSWORD}}@{open}/variable"),
            format!("http://${{DOOR_USER}}:${{YARD_PASSWORD}}@{open}/credential.m3u8"),
            format!("http://{open}/token.m3u8?token={ENCODED}"),
        ];
        let entry = |(name, uri)| {
            format!("\n[[pipeline.stream]]\nname = \"{name}\"\nsource = {{ uri = \"{uri}\" }}\n")
        };
        let mut streams = vec![looped("good", media("tree.mp4"))];
        streams.extend(STREAMS.into_iter().zip(uris).map(entry));
        let setup = Setup::new(&streams);
        fs::create_dir(setup.path("credentials")).unwrap();
        fs::write(setup.path("credentials/YARD_PASSWORD"), format!("{PASSWORD}\n")).unwrap();
        Self { setup, server, places: Places::default() }
    }

    /// A command of the program on this config, with the secrets in its environment.
    fn command(&self, name: &str, sets: &[&str]) -> Command {
        let mut command = self.setup.command(name, sets);
        command.env("DOOR_USER", USER).env("DOOR_PASSWORD", PASSWORD);
        command.env("CREDENTIALS_DIRECTORY", self.setup.path("credentials"));
        command
    }

    /// Trains until every bad stream has failed and a step is done.
    fn train(&mut self, change: impl FnOnce(&mut Command), sets: &[&str]) {
        let mut command = self.command("train", &[&["model.train.steps=1000000"], sets].concat());
        change(&mut command);
        let mut running = Running::start(command);
        let failed = STREAMS.map(|it| format!("\"{it}\""));
        running.wait_for_all(&failed.each_ref().map(String::as_str));
        running.wait_for_all(&["step 1/"]);
        self.places.add_command_lines(running.id());
        running.signal("INT");
        let done = running.finish().ended_with(0);
        self.places.add_output(&done);
        self.places.add_folder(&self.setup.run());
    }

    /// Both commands refuse this config.
    fn refused(&mut self, sets: &[&str], parts: &[&str]) {
        for name in ["check", "train"] {
            let done = finish(self.command(name, sets)).ended_with(78).complains(parts);
            self.places.add_output(&done);
        }
    }
}

#[test]
fn the_search_finds_every_form_of_the_secret() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("table.parquet");
    let properties =
        WriterProperties::builder().set_compression(Compression::ZSTD(Default::default()));
    let note = KeyValue::new("note".into(), Some(FORMS[1].into()));
    let properties = properties.set_key_value_metadata(Some(vec![note])).build();
    let text: ArrayRef = Arc::new(StringArray::from(vec![FORMS[6]]));
    let batch = RecordBatch::try_from_iter([("text", text)]).unwrap();
    let file = File::create(&path).unwrap();
    let mut writer = ArrowWriter::try_new(file, batch.schema(), Some(properties)).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    let mut places = Places(vec![("unpacked".into(), unpacked(&path))]);
    assert_eq!(places.found(), [("unpacked", FORMS[1]), ("unpacked", FORMS[6])]);
    for form in FORMS {
        places = Places::default();
        places.add("elsewhere", "nothing");
        places.add("here", format!("a{form}b"));
        assert!(places.found().contains(&("here", form)), "{form} is not found");
    }
    fs::write(folder.path().join(USER), "").unwrap();
    places = Places::default();
    places.add_folder(folder.path());
    assert!(places.found().contains(&("a file's name", USER)));
}

#[test]
fn the_search_sees_the_command_lines_of_children() {
    let mut child = Command::new("cat");
    let mut child = child.arg("-u").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    // `cat` has replaced this program once it answers.
    writeln!(child.stdin.as_ref().unwrap(), "ready").unwrap();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut String::new()).unwrap();
    let mut places = Places::default();
    places.add_command_lines(std::process::id());
    child.kill().unwrap();
    child.wait().unwrap();
    let name = format!("the command line of {}", child.id());
    let line = places.0.iter().find(|it| it.0 == name);
    assert!(line.is_some_and(|it| it.1 == b"cat\0-u\0"), "{line:?}");
}

#[test]
fn training_shows_no_secret() {
    let mut canary = Canary::new();
    canary.train(|_| {}, &[]);
    // The server received them: a secret that is not used proves nothing.
    canary.server.assert_heard(&format!("Authorization: Basic {}=", FORMS[6]));
    for part in ["/refused", "/variable", "/credential.m3u8", "token=ca%2Fna%40ry%2BPw7z"] {
        canary.server.assert_heard(part);
    }
    let run = canary.setup.run();
    let kept = fs::read_to_string(run.join("config.toml")).unwrap();
    for part in ["rtsp://${DOOR_USER}:${DOOR_PASSWORD}@", "${YARD_PASSWORD}@", "?token=***"] {
        assert!(kept.contains(part), "no {part} in {kept}");
    }
    assert!(files(&run).iter().any(|it| has_extension(&it.0, "safetensors")), "no checkpoint");
    canary.places.assert_clean();
}

#[test]
fn verbose_training_shows_no_secret() {
    let mut canary = Canary::new();
    let uri = format!("rtsp://{USER}:{ENCODED}@{}/set", canary.server.address);
    let set = format!("pipeline.stream.1.source={{ uri = \"{uri}\" }}");
    let mut command = canary.command("train", &["model.train.steps=10", &set]);
    command.arg("-v");
    let done = finish(command).ended_with(0);
    canary.places.add_output(&done);
    canary.places.add_folder(&canary.setup.run());
    fs::remove_dir_all(canary.setup.run()).unwrap();
    canary.train(
        |it| {
            it.arg("-v");
        },
        &[],
    );
    canary.places.assert_clean();
}

#[test]
fn a_check_shows_no_secret() {
    let mut canary = Canary::new();
    let done = finish(canary.command("check", &[])).ended_with(1);
    let done =
        STREAMS.iter().fold(done, |it, stream| it.prints(&[&format!("BAD stream \"{stream}\"")]));
    canary.places.add_output(&done);
    canary.places.assert_clean();
}

#[test]
fn a_config_error_shows_no_secret() {
    let mut canary = Canary::new();
    let right = fs::read_to_string(canary.setup.config()).unwrap();
    for name in ["literal", "token"] {
        let line = right.lines().find(|it| it.contains("uri") && it.contains(name)).unwrap();
        let uri = line.split('"').nth(1).unwrap();
        for (wrong, key) in [
            (format!("source = {{ uri = \"{uri}\", url = 1 }}"), "source"),
            (format!("source = {{ url = \"{uri}\" }}"), "source"),
            (format!("source = \"{uri}\""), "source"),
            (format!("source = {{ uri = [\"{uri}\"] }}"), "source.uri"),
            (format!("source = {{ files = \"{uri}\" }}"), "source.files"),
            (format!("{line}\nlooop = true"), "looop"),
            (format!("{line}\nweight = \"{uri}\""), "weight"),
            (format!("source = {{ uri = {uri} }}"), ""),
            (format!("source = {{ uri = \"{uri} }}"), ""),
            (format!("{line}\n{line}"), "duplicate key"),
        ] {
            fs::write(canary.setup.config(), right.replacen(line, &wrong, 1)).unwrap();
            canary.refused(&[], &["test.toml:", key]);
        }
        fs::write(canary.setup.config(), &right).unwrap();
        for set in [
            format!("pipeline.stream.1.source={uri}"),
            format!("pipeline.stream.1.source.url={uri}"),
            format!("pipeline.stream.1.weight={uri}"),
            format!("pipeline.stream.77.source.uri={uri}"),
            uri.into(),
        ] {
            canary.refused(&[&set], &["--set"]);
        }
        let good = format!("pipeline.stream.1.source.uri={uri}");
        canary.refused(&[&good, "model.train.stepz=3"], &["--set", "stepz"]);
    }
    canary.places.assert_clean();
}

#[test]
fn a_name_without_a_value_is_a_config_error() {
    let canary = Canary::new();
    let credentials = canary.setup.path("credentials");
    let place = format!("{}", credentials.join("DOOR_PASSWORD").display());
    for name in ["check", "train"] {
        let mut command = canary.command(name, &[]);
        command.env_remove("DOOR_PASSWORD");
        let done = finish(command).ended_with(78);
        let key = "pipeline.stream[3].source.uri: ${DOOR_PASSWORD} has no value";
        let mut places = Places::default();
        places.add_output(&done.complains(&[key, "variable DOOR_PASSWORD", &place]));
        places.assert_clean();
    }
}
