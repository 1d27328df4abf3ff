use std::{ffi::OsString, fs, path::Path};

use super::{Address, Revealed, SecretSources};

/// The environment of these tests.
fn variable(name: &str) -> Option<OsString> {
    let value = match name {
        "CAMERA_USER" => "me",
        "CAMERA_PASSWORD" => "p@s/s%41:?#",
        "TOKEN" => "s3cr3t",
        "HOST" => "door.example",
        "EMPTY" => "",
        "LINES" => "one\ntwo",
        _ => return None,
    };
    Some(value.into())
}

fn reveal_with(text: &str, credentials: Option<&Path>) -> Result<Revealed, String> {
    let credentials = credentials.map(Path::to_owned);
    Address::from(text).reveal_from(&SecretSources { variable: &variable, credentials })
}

fn reveal(text: &str) -> Revealed {
    reveal_with(text, None).unwrap_or_else(|err| panic!("{text}: {err}"))
}

fn template(text: &str) -> String {
    let written = toml::Value::try_from(Address::from(text)).unwrap();
    written.as_str().unwrap().to_owned()
}

#[test]
fn printed_forms_hold_no_secret() {
    for (text, printed) in [
        ("rtsp://me:hush@host/x", "rtsp://host/x"),
        ("rtsp://me:se%40cret@host:554/x", "rtsp://host:554/x"),
        ("rtsp://me:p@ss@host/cam", "rtsp://host/cam"),
        ("rtsp://me@host/x", "rtsp://host/x"),
        ("rtsp://me:@host/x", "rtsp://host/x"),
        ("rtsp://:hush@host", "rtsp://host"),
        ("rtsp://me:hush@[fe80::1]:554/x", "rtsp://[fe80::1]:554/x"),
        ("rtsp://[::1]:554/x", "rtsp://[::1]:554/x"),
        ("rtsp://host:554/x", "rtsp://host:554/x"),
        ("rtsp://${CAMERA_USER}:${CAMERA_PASSWORD}@host/x", "rtsp://host/x"),
        ("rtsp://${HOST}/${CHANNEL}/x", "rtsp://${HOST}/${CHANNEL}/x"),
        ("http://host/a?mail=x@y", "http://host/a?mail=x@y"),
        ("http://host/@door/a.m3u8", "http://host/@door/a.m3u8"),
        ("file:///tmp/a:b@c.mp4", "file:///tmp/a:b@c.mp4"),
        ("http://h/?a=1&Token=hu/sh;?&b=2", "http://h/?a=1&Token=***&b=2"),
        ("http://h/?access_token=hush", "http://h/?access_token=***"),
        ("http://h/?accessToken=hush&apikey=hush", "http://h/?accessToken=***&apikey=***"),
        ("http://h/?X-Amz-Signature=hush", "http://h/?X-Amz-Signature=***"),
        ("http://h/?token=${TOKEN}", "http://h/?token=***"),
        ("http://h/?keyframe=1&tokens=2", "http://h/?keyframe=1&tokens=2"),
        ("srt://h:1?mode=caller&passphrase=hush", "srt://h:1?mode=caller&passphrase=***"),
        ("http://h/x?src=rtsp://me:hush@cam/", "http://h/x?src=***"),
        ("http://h/x?src=rtsp%3A%2F%2Fme:hush@cam/", "http://h/x?src=***"),
        (
            "rtsp://h/user=me&password=hush&channel=1?x",
            "rtsp://h/user=***&password=***&channel=1?x",
        ),
        // These cannot be opened, but may be printed.
        ("rtsp://me:hu/sh@host/x", "rtsp://host/x"),
        ("rtsp://me:12/sh@host/x", "rtsp://host/x"),
        ("rtsp://me:hu?sh@host/x", "rtsp://host/x"),
        ("rtsp://me:hu@s/h@host/x", "rtsp://host/x"),
        ("rtsp://me:${HU/SH}@host/x", "rtsp://host/x"),
        ("me:hush@host/x", "host/x"),
        ("me:hush@host/x?a=http://b/", "host/x?a=***"),
        ("", ""),
    ] {
        let address = Address::from(text);
        assert_eq!(address.to_string(), printed, "{text}");
        assert_eq!(format!("{address:?}"), format!("{printed:?}"));
    }
}

#[test]
fn written_forms_keep_names_and_drop_secrets() {
    for (text, written) in [
        ("rtsp://me:hush@host/x", "rtsp://host/x"),
        ("rtsp://me@host/x", "rtsp://host/x"),
        ("rtsp://${U}:${P}@host/", "rtsp://${U}:${P}@host/"),
        ("rtsp://${U}${V}:@host/", "rtsp://${U}${V}:@host/"),
        ("rtsp://:${P}@host/", "rtsp://:${P}@host/"),
        ("rtsp://me:${P}@host/", "rtsp://***:${P}@host/"),
        ("rtsp://${U}:hush${P}@host/", "rtsp://${U}:***@host/"),
        ("rtsp://me:hush${P}@host/", "rtsp://host/"),
        ("rtsp://${U}@host/", "rtsp://${U}@host/"),
        ("rtsp://${HOST}/x?token=${T}&key=hush", "rtsp://${HOST}/x?token=${T}&key=***"),
        ("http://host/x?token=", "http://host/x?token="),
    ] {
        assert_eq!(template(text), written);
        let again = template(written);
        assert_eq!(again, written, "writing it again changes it");
    }
}

#[test]
fn a_revealed_uri_is_readable_by_gstreamer() {
    let encoded = "p%40s%2Fs%2541%3A%3F%23";
    for (text, uri) in [
        ("rtsp://me:hush@host/x", "rtsp://me:hush@host/x".to_owned()),
        ("rtsp://me:p@s s@host", "rtsp://me:p%40s%20s@host".into()),
        ("rtsp://me:%40%2fa%25@host", "rtsp://me:%40%2fa%25@host".into()),
        ("rtsp://me:100%@host", "rtsp://me:100%25@host".into()),
        ("rtsp://me:a:$b@host", "rtsp://me:a:$b@host".into()),
        ("rtsp://me:ä@host", "rtsp://me:%C3%A4@host".into()),
        ("rtsp://me@host", "rtsp://me:@host".into()),
        ("rtsp://${CAMERA_USER}:${CAMERA_PASSWORD}@h/x", format!("rtsp://me:{encoded}@h/x")),
        ("rtsp://a${CAMERA_USER}:${EMPTY}@[::1]:5/", "rtsp://ame:@[::1]:5/".into()),
        ("http://${HOST}/x?token=${TOKEN}&a=$1", "http://door.example/x?token=s3cr3t&a=$1".into()),
        ("http://host/$%7BTOKEN}", "http://host/$%7BTOKEN}".into()),
        ("http://host:80/a?mail=x@y", "http://host:80/a?mail=x@y".into()),
        ("file:///tmp/a:b@c.mp4", "file:///tmp/a:b@c.mp4".into()),
    ] {
        let revealed = reveal(text);
        assert_eq!(revealed.as_str(), uri);
        assert_eq!(format!("{revealed:?}"), "Revealed");
    }
}

#[test]
fn a_value_comes_from_the_environment_before_a_file() {
    let folder = tempfile::tempdir().unwrap();
    for (name, value) in [("TOKEN", "file"), ("door.key", "from file\n\n"), ("DOS", "line\r\n")] {
        fs::write(folder.path().join(name), value).unwrap();
    }
    let found = reveal_with("a://${TOKEN}:${DOS}@${HOST}/", Some(folder.path())).unwrap();
    assert_eq!(found.as_str(), "a://s3cr3t:line@door.example/");
    let found = reveal_with("a://u:${door.key}@h/", Some(folder.path())).unwrap();
    assert_eq!(found.as_str(), "a://u:from%20file%0A@h/", "one line break is not the secret's");
}

#[test]
fn errors_say_why_and_hold_no_secret() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("FOLDER")).unwrap();
    let (path, absent) = (folder.path().display(), "has no value");
    let file = format!("no file {path}/NOWHERE");
    for (text, parts) in [
        ("me:hush@host/x", &["must be a URI"][..]),
        ("rtsp:/me:hush@host/x", &["must be a URI"]),
        ("rtsp://me:hu/sh@host/x", &["%40", "%2F"]),
        ("rtsp://me:12/hush@host/x", &["%40", "%2F"]),
        ("rtsp://me:hush@host/a@b", &["%40"]),
        ("rtsp://host/?token=***&hush", &["was not written down"]),
        ("rtsp://***:${TOKEN}@hush/", &["was not written down"]),
        ("rtsp://hush:${NOWHERE}@h/", &["${NOWHERE}", absent, "variable NOWHERE", &file]),
        ("rtsp://hush:${FOLDER}@h/", &["${FOLDER}", "cannot be read"]),
        ("rtsp://hush:${@h/", &["`${` must be followed by a name", "$%7B"]),
        ("rtsp://hush:${}@h/", &["`${` must be followed by a name"]),
        ("rtsp://hush/${../etc/passwd}", &["`${` must be followed by a name"]),
        ("rtsp://hush/${..}", &["`${` must be followed by a name"]),
        ("rtsp://hush/\n", &["control characters"]),
        ("rtsp://h/?token=${LINES}", &["control characters"]),
    ] {
        let message = reveal_with(text, Some(folder.path())).unwrap_err();
        parts.iter().for_each(|it| assert!(message.contains(it), "no {it:?} in {message}"));
        assert!(!message.contains("hush"), "{message}");
    }
    let message = reveal_with("rtsp://${NOWHERE}/", None).unwrap_err();
    assert!(message.contains("variable NOWHERE") && message.contains("no $CREDENTIALS_DIRECTORY"));
}

#[test]
fn secrets_are_removed_from_any_text() {
    let named = reveal("rtsp://${CAMERA_USER}:${CAMERA_PASSWORD}@${HOST}/x?token=${TOKEN}");
    let literal = reveal("rtsp://me:p@s%2fs%41@host/x?key=hu%2Fsh");
    for (address, text, redacted) in [
        (&named, "at rtsp://me:p%40s%2Fs%2541%3A%3F%23@h/ it", "at rtsp://h/ it"),
        (&named, "(rtsp://me:p%40s%2fs%2541%3a%3f%23@h/)", "(rtsp://h/)"),
        (&named, "rtsp://me:p@s/s%41:?#@h/", "rtsp://h/"),
        (&named, "password p@s/s%41:?#.", "password ***."),
        // base64 of me:p@s/s%41:?#
        (&named, "Basic bWU6cEBzL3MlNDE6PyM=", "Basic ***="),
        (&named, "GET /x?token=s3cr3t on door.example", "GET /x?token=*** on ${HOST}"),
        (&literal, "user me, p@s/sA, p@s%2fs%41, p%40s%2FsA", "user me, ***, ***, ***"),
        (&literal, "Basic bWU6cEBzL3NB", "Basic ***"),
        (&literal, "key hu/sh or hu%2fsh", "key *** or ***"),
        (
            &literal,
            "URL: http://a:b@c/?token=d, Redirect to: (NULL)",
            "URL: http://c/?token=*** Redirect to: (NULL)",
        ),
        (&literal, "\"http://a:b@c/\",\n x ://", "\"http://c/\",\n x ://"),
    ] {
        assert_eq!(address.redact(text), redacted);
    }
    let short = reveal("rtsp://a:b@host/?token=c");
    let text = "a b c rtsp://a:b@host/?token=c Basic YTpi";
    assert_eq!(short.redact(text), "a b c rtsp://host/?token=*** Basic ***");
    assert_eq!(Revealed::public("file:///a".into()).redact("a file:///a"), "a file:///a");
}
