//! Paths, refusals, and clients that misbehave.

use std::io::ErrorKind;

use super::*;

#[test]
fn every_path_answers_with_its_kind() {
    let server = server(1_234);
    for (path, kind, part) in [
        ("/", "text/html; charset=utf-8", "<!doctype html>"),
        ("/?from=bookmark", "text/html; charset=utf-8", "<!doctype html>"),
        ("/metrics", "text/plain; version=0.0.4; charset=utf-8", "onward_step 1234"),
        ("/healthz", "text/plain; charset=utf-8", "ok"),
        ("/readyz", "text/plain; charset=utf-8", "ready"),
        ("/state.json", "application/json", "\"run\":\"street-tdv\""),
    ] {
        let reply = get(server.address(), path);
        assert_eq!(reply.status, 200, "{path}: {}", reply.body);
        assert!(reply.head.contains(&format!("Content-Type: {kind}\r\n")), "{}", reply.head);
        assert!(reply.body.contains(part), "{path} gave {}", reply.body);
        let length = format!("Content-Length: {}", reply.body.len());
        assert!(reply.head.contains(&length), "{}", reply.head);
    }
}

#[test]
fn only_a_get_of_a_known_path_is_answered() {
    let server = server(1);
    let long = format!("GET / HTTP/1.1\r\nCookie: {}\r\n\r\n", "x".repeat(20_000));
    for (request, status) in [
        ("GET /nothing HTTP/1.1\r\n\r\n", 404),
        ("GET /metrics/ HTTP/1.1\r\n\r\n", 404),
        ("POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc", 405),
        ("HEAD / HTTP/1.1\r\n\r\n", 405),
        ("hello\r\n\r\n", 400),
        (long.as_str(), 431),
    ] {
        assert_eq!(exchange(server.address(), request).status, status, "{request:.40}");
    }
}

#[test]
fn the_state_has_streams_outcomes_losses_and_curves() {
    let server = server(1);
    server.publish(snapshot(11));
    server.publish(snapshot(21));
    let reply = get_until(server.address(), "/state.json", |it| it.body.contains("\"step\":21"));
    let state: serde_json::Value = serde_json::from_str(&reply.body).unwrap();
    assert_eq!(state["history"]["steps"], serde_json::json!([1, 11, 21]));
    assert_eq!(state["history"]["values"]["probe"], serde_json::json!([null, null, null]));
    assert_eq!(state["losses"][0][0], "loss");
    assert_eq!(state["ready"]["ok"], true);
    assert_eq!(state["queue"]["batches"], 1);
    let stream = &state["streams"][3];
    assert_eq!((&stream["name"], &stream["state"]), (&NASTY.into(), &"connecting".into()));
    let outcomes = state["streams"][0]["outcomes"].as_array().unwrap();
    let frames: u64 = outcomes.iter().map(|it| it[1].as_u64().unwrap()).sum();
    assert_eq!(state["streams"][0]["decoded"], frames, "the outcomes do not add up");
    assert!(state["process"]["threads"].as_u64().unwrap() > 1);
    assert!(state["process"]["resident_bytes"].as_u64().unwrap() > 1 << 20);
}

#[test]
fn a_run_is_ready_once_a_step_is_done_and_a_stream_plays() {
    let server = server(0);
    let early = get(server.address(), "/readyz");
    assert_eq!((early.status, early.body.as_str()), (503, "the first step is not done yet\n"));
    server.mark_active(1);
    get_until(server.address(), "/readyz", |it| it.status == 200);
    let mut silent = snapshot(2);
    silent.streams.truncate(2);
    silent.streams[0].state = StreamState::Waiting;
    server.publish(silent);
    let reply = get_until(server.address(), "/readyz", |it| it.status == 503);
    let why = "no stream plays: \"front door\" is waiting, \"loading bay\" is stalled\n";
    assert_eq!(reply.body, why);
    assert_eq!(get(server.address(), "/healthz").status, 200, "waiting is no illness");
}

#[test]
fn a_trainer_that_is_stuck_is_reported() {
    let impatient = StuckAfter { first: Duration::ZERO, later: Duration::ZERO };
    let mut still = snapshot(7);
    still.throughput.step_seconds = 0.0;
    let state = ServerState::new(still, impatient, Box::new(|| 2));
    let server = start_with(loopback(), state).unwrap();
    let reply = get_until(server.address(), "/healthz", |it| it.status == 503);
    assert!(reply.body.contains("no step since step 7"), "{}", reply.body);
    assert!(reply.body.contains("batches wait: 2"), "{}", reply.body);
}

#[test]
fn a_port_in_use_is_named() {
    let first = server(1);
    let err = start(first.address(), snapshot(1), || 0).unwrap_err();
    let shown = format!("{err:#}");
    let wanted = format!("could not listen on {}: choose another", first.address());
    assert!(shown.starts_with(&wanted) && shown.contains("in use"), "{shown}");
}

#[test]
fn a_publisher_that_is_dropped_frees_its_port_and_ends_its_thread() {
    let server = server(1);
    let address = server.address();
    let idle = connect(address);
    get(address, "/healthz");
    // Joins the thread: it would hang here if a client could hold it.
    drop(server);
    assert!(TcpStream::connect(address).is_err(), "the port is still in use");
    drop(idle);
    drop(start(address, snapshot(1), || 0).unwrap());
}

#[test]
fn clients_that_send_nothing_do_not_hold_up_others() {
    let server = server(1);
    // More than are let in at a time, so that one of them would have to be waited for.
    let silent: Vec<_> = (0..100).map(|_| connect(server.address())).collect();
    let mut halfway = connect(server.address());
    halfway.write_all(b"GET /metrics HTTP/1.1\r\nHost: ").unwrap();
    assert_eq!(get(server.address(), "/healthz").status, 200);
    // The server still waits for the rest of that request.
    halfway.set_nonblocking(true).unwrap();
    assert_eq!(halfway.read(&mut [0; 16]).unwrap_err().kind(), ErrorKind::WouldBlock);
    halfway.set_nonblocking(false).unwrap();
    for _ in 1..20 {
        assert_eq!(get(server.address(), "/healthz").status, 200);
    }
    // The oldest made room, and the rest are hung up on when their time is over.
    for mut socket in silent.into_iter().chain([halfway]) {
        match socket.read(&mut [0; 16]) {
            Ok(count) => assert_eq!(count, 0, "an answer to an unfinished request"),
            Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset),
        }
    }
}

#[test]
fn clients_that_read_nothing_hold_up_neither_others_nor_the_trainer() {
    let mut big = snapshot(1);
    big.events[0].reason = "x".repeat(8 << 20);
    let server = start(loopback(), big.clone(), || 1).unwrap();
    let ask = b"GET /state.json HTTP/1.1\r\n\r\n";
    let mut deaf: Vec<_> = (0..8).map(|_| connect(server.address())).collect();
    deaf.iter_mut().for_each(|it| it.write_all(ask).unwrap());
    assert_eq!(get(server.address(), "/readyz").status, 200);
    server.mark_active(2);
    server.publish(snapshot(2));
    // A client that took too long would be hung up on in the middle of its answer.
    let reply = read(&mut deaf[0]);
    let length = format!("Content-Length: {}", reply.body.len());
    assert!(reply.head.ends_with(&length), "{length} is not in {}", reply.head);
    for step in 3..500 {
        server.mark_active(step);
        server.publish(snapshot(step));
    }
    let reached = |it: &Reply| it.body.contains("onward_step 499.0\n");
    get_until(server.address(), "/metrics", reached);
}

#[test]
fn a_slow_request_is_put_together() {
    let server = server(5);
    let mut socket = connect(server.address());
    socket.set_nodelay(true).unwrap();
    for part in ["GE", "T /hea", "lthz HTTP/1.1\r", "\nHost: x\r\n", "\r\n"] {
        socket.write_all(part.as_bytes()).unwrap();
        // A complete exchange of another client lies between two parts.
        assert_eq!(get(server.address(), "/readyz").status, 200);
    }
    let mut text = String::new();
    socket.read_to_string(&mut text).unwrap();
    assert!(text.starts_with("HTTP/1.1 200 OK\r\n") && text.ends_with("ok\n"), "{text}");
}
