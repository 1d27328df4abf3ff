//! The page in headless Chromium.

use std::path::Path;
use std::process::Command;

use pipeline::Batch;

use super::*;

/// The page's elements after its script ran for `milliseconds` of its own time.
fn rendered(address: &str, milliseconds: u32) -> String {
    let text = chromium(&[&format!("--virtual-time-budget={milliseconds}"), "--dump-dom", address]);
    // The script contains every word, so that only the elements before it are searched.
    let (shown, script) = text.split_once("<script").unwrap_or_else(|| panic!("no page: {text}"));
    assert!(script.contains("</script>"), "half a page: {text}");
    shown.into()
}

/// Whether Chromium is installed; without it the calling test is skipped.
#[track_caller]
fn chromium_is_there() -> bool {
    let found = Command::new("chromium").arg("--version").output().is_ok();
    if !found {
        scope::skip("chromium is not installed");
    }
    found
}

fn chromium(arguments: &[&str]) -> String {
    let profile = tempfile::tempdir().unwrap();
    let output = Command::new("chromium")
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"])
        .args(["--disable-background-networking", "--disable-component-update"])
        .args(["--disable-sync", "--disable-dev-shm-usage", "--hide-scrollbars"])
        .arg(format!("--user-data-dir={}", profile.path().display()))
        .args(arguments)
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "chromium ended with {}: {errors}", output.status);
    String::from_utf8(output.stdout).unwrap()
}

/// A server with a run's worth of curves.
fn long_run() -> Publisher {
    let server = server(1);
    for step in (11..=12_341).step_by(30) {
        server.publish(snapshot(step));
        // The server keeps up, so that no update is dropped.
        let shown = format!("\"step\":{step},");
        if step % 60 == 11 {
            get_until(server.address(), "/state.json", |it| it.body.contains(&shown));
        }
    }
    server
}

#[test]
fn the_page_shows_the_run() {
    if !chromium_is_there() {
        return;
    }
    let server = long_run();
    let shown = rendered(&format!("http://{}/", server.address()), 3_000);
    for part in [
        "<h1 id=\"run\">street-tdv</h1>",
        "<span>12,341</span>",
        " of 100,000",
        "training",
        "13 %",
        "data wait",
        "<span class=\"badge given_up\">given up</span>",
        "<span class=\"badge stalled\">stalled</span>",
        "no frame for 5 s",
        "Unauthorized: check the user and password",
        "<h3>front door</h3>",
        "data:image/png;base64",
        "copy_ratio",
        "2 playing, 1 stalled, 1 waiting",
        "dropped for newer ones",
        "class=\"curve\"",
        "MiB of memory",
    ] {
        assert!(shown.contains(part), "{part:?} is missing in\n{shown}");
    }
    let hidden = "<p id=\"lost\" role=\"alert\" hidden=\"\">";
    assert!(shown.contains(hidden), "the page thinks that the program is gone");
    assert!(!shown.contains("NaN") && !shown.contains("undefined"), "{shown}");
    if let Some(path) = std::env::var_os("ONWARD_SCREENSHOT") {
        screenshot(&server, Path::new(&path));
    }
}

/// Writes a screenshot, for looking at the page by hand.
fn screenshot(server: &Publisher, path: &Path) {
    let file = format!("--screenshot={}", path.display());
    let address = format!("http://{}/", server.address());
    let size = std::env::var("ONWARD_SCREENSHOT_SIZE").unwrap_or_else(|_| "1400,1600".into());
    let dark = std::env::var_os("ONWARD_SCREENSHOT_DARK")
        .map_or("--mute-audio", |_| "--blink-settings=preferredColorScheme=0");
    let size = format!("--window-size={size}");
    chromium(&[&file, &size, dark, "--virtual-time-budget=3000", &address]);
}

#[test]
fn a_name_with_markup_is_shown_as_text() {
    if !chromium_is_there() {
        return;
    }
    let server = server(1);
    let shown = rendered(&format!("http://{}/", server.address()), 2_000);
    assert!(shown.contains("<h3>&lt;b&gt;x&lt;/b&gt; \"y\" \\ z</h3>"), "{shown}");
    assert!(!shown.contains("<b>x"), "the name became an element:\n{shown}");
}

#[test]
fn a_page_whose_program_is_gone_says_so() {
    if !chromium_is_there() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("page.html");
    std::fs::write(&path, include_str!("../page.html")).unwrap();
    let shown = rendered(&format!("file://{}", path.display()), 2_000);
    let alert = "<p id=\"lost\" role=\"alert\">There is no connection to the program";
    assert!(shown.contains(alert), "{shown}");
}

#[test]
fn a_browser_shows_a_thumbnail() {
    // The left half is red and the right half is blue.
    let [height, width] = [18, 32];
    let pixel = |idx: usize| if idx % width < width / 2 { [255, 0, 0] } else { [0, 0, 255] };
    let pixels: Vec<u8> = (0..height * width).flat_map(pixel).collect();
    let batch = Batch {
        pixels,
        shape: [1, 1, height, width, 3],
        times: vec![0.0],
        clips: Vec::new(),
        cut_at: Vec::new(),
        motion: None,
        state: Default::default(),
    };
    let picture = super::super::thumbnail::first_frame(&batch, 0).unwrap();
    assert!(picture.starts_with("data:image/jpeg;base64,"), "{picture:.40}");
    let page = format!(
        r#"<!doctype html><p id="colours"></p><img id="picture" src="{picture}"><script>
        const picture = document.getElementById("picture");
        picture.decode().then(() => {{
            const canvas = document.createElement("canvas");
            [canvas.width, canvas.height] = [picture.naturalWidth, picture.naturalHeight];
            const context = canvas.getContext("2d");
            context.drawImage(picture, 0, 0);
            const names = [4, canvas.width - 5].map(x => {{
                const [red, green, blue] = context.getImageData(x, 9, 1, 1).data;
                return red > 200 && blue < 60 && green < 60 ? "red"
                    : blue > 200 && red < 60 && green < 60 ? "blue" : `${{red}} ${{green}} ${{blue}}`;
            }});
            document.getElementById("colours").textContent =
                `${{canvas.width}} x ${{canvas.height}}: ${{names.join(", ")}}`;
        }});
        </script>"#
    );
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("thumbnail.html");
    std::fs::write(&path, page).unwrap();
    let shown = rendered(&format!("file://{}", path.display()), 2_000);
    assert!(shown.contains(">32 x 18: red, blue</p>"), "{shown:.300}");
}
