//! Files that a request names: fetched from real servers, of which few mean well.

use std::io::Cursor;
use std::time::Duration;

use futures_util::future::join_all;
use image::{DynamicImage, GrayImage, ImageFormat, RgbImage};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::input::{nothing_happened, pointers, refused, send};
use crate::on_both;
use crate::support::app::{Answer, TestApp};
use crate::support::database::Backend;
use crate::support::host::{Host, Sent};

on_both!(
    pictures_are_taken_whatever_they_are_called,
    what_is_no_whole_picture_is_refused_with_its_code,
    servers_that_do_not_play_fair_are_given_up,
    all_files_are_judged_at_once,
    nothing_is_asked_inside_the_network,
    memory_stays_bounded_whatever_is_sent,
);

const IMAGE: &str = "/v1/generate/image/sandbox/inline";
const VIDEO: &str = "/v1/generate/video/sandbox/video";

fn encoded(format: ImageFormat, picture: DynamicImage) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    picture.write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

fn drawn(format: ImageFormat, width: u32, height: u32) -> Vec<u8> {
    let shade = |x: u32, y: u32| image::Rgb([(x % 251) as u8, (y % 241) as u8, 7]);
    encoded(format, RgbImage::from_fn(width, height, shade).into())
}

async fn ask(app: &TestApp, files: &[String]) -> Answer {
    let body = json!({ "generation_prompt": "x", "generation_input_file": files });
    send(app, IMAGE, body.to_string()).await
}

fn issues(answer: &Answer) -> &Vec<Value> {
    answer.body["error"]["details"]["issues"].as_array().unwrap()
}

async fn pictures_are_taken_whatever_they_are_called(backend: Backend) {
    let app = TestApp::start(backend).await;
    let host = Host::start(|path| match path {
        "/a.png" => Sent::File("text/html", drawn(ImageFormat::Png, 64, 64).into()),
        "/b" => Sent::File("image/gif", drawn(ImageFormat::Jpeg, 64, 300).into()),
        "/c.jpg" => Sent::File("image/png", drawn(ImageFormat::WebP, 300, 64).into()),
        // Without a length, and to the end of the connection.
        _ => Sent::Raw([b"HTTP/1.1 200 OK\r\n\r\n", &drawn(ImageFormat::Png, 64, 64)[..]].concat()),
    })
    .await;
    let files = ["/a.png", "/b", "/c.jpg", "/d"].map(|path| host.at(path));
    let made = ask(&app, &files).await.generation_id();
    assert_eq!(host.asked(), 4);
    let record = app.record(&made).await;
    assert_eq!(record["generation_input_file"], json!(files));
    // The same file in several places is fetched once.
    let file = host.at("/a.png");
    let body = json!({ "generation_prompt": "x", "generation_duration": 1,
        "generation_input_file": [&file], "generation_input_file_last_content": &file });
    send(&app, VIDEO, body.to_string()).await.data();
    assert_eq!(host.asked(), 5);
}

/// A name, what is sent, its code, and the limit that is told.
type Bad<'a> = (&'a str, Sent, &'a str, Option<(&'a str, u32)>);

async fn what_is_no_whole_picture_is_refused_with_its_code(backend: Backend) {
    let app = TestApp::start_with(backend, &[("input_files.bytes_max", "100000")]).await;
    let jpeg = drawn(ImageFormat::Jpeg, 200, 200);
    let png = drawn(ImageFormat::Png, 200, 200);
    let webp = drawn(ImageFormat::WebP, 200, 200);
    let half = |bytes: &[u8]| Sent::file(&bytes[..bytes.len() / 2]);
    let mut huge = drawn(ImageFormat::Png, 64, 64);
    huge[16..24].copy_from_slice(&[0, 0, 0x75, 0x30, 0, 0, 0x75, 0x30]);
    let crc = crc32(&huge[12..29]);
    huge[29..33].copy_from_slice(&crc.to_be_bytes());
    let gif = b"GIF89a\x40\0\x40\0\x80\0\0\0\0\0\xff\xff\xff!\xf9\x04\x01\0\0\0\0,;";
    let svg = br#"<svg xmlns="http://www.w3.org/2000/svg" width="64" height="64"/>"#;
    let cases: Vec<Bad<'_>> = vec![
        ("GIF", Sent::file(gif), "BSE2004", None),
        ("SVG", Sent::file(svg), "BSE2004", None),
        ("HTML", Sent::file(b"<!doctype html><title>a.png</title>"), "BSE2004", None),
        ("nothing", Sent::file(b""), "BSE2004", None),
        ("half a JPEG", half(&jpeg), "BSE2005", None),
        ("half a PNG", half(&png), "BSE2005", None),
        ("half a WebP", half(&webp), "BSE2005", None),
        ("a head", Sent::file(b"\x89PNG\r\n\x1a\n"), "BSE2005", None),
        ("63 px", Sent::file(&drawn(ImageFormat::Png, 63, 64)), "BSE2003", Some(("min", 64))),
        (
            "8193 px",
            Sent::file(&drawn(ImageFormat::Jpeg, 64, 8193)),
            "BSE2002",
            Some(("max", 8192)),
        ),
        ("a bomb", Sent::file(&huge), "BSE2002", Some(("max", 8192))),
        ("too long", Sent::file(&vec![0; 100_001]), "BSE2007", Some(("max", 100_000))),
        ("endless", Sent::Endless, "BSE2007", Some(("max", 100_000))),
    ];
    let sent: Vec<Sent> = cases.iter().map(|(_, sent, ..)| sent.clone()).collect();
    let host = Host::start(move |path| sent[path[1..].parse::<usize>().unwrap()].clone()).await;
    for (number, (name, _, code, limit)) in cases.iter().enumerate() {
        let answer = ask(&app, &[host.at(&format!("/{number}"))]).await;
        refused(&answer, 422, code);
        assert_eq!(pointers(&answer), ["/generation_input_file/0"], "{name}");
        let details = &answer.body["error"]["details"];
        assert_eq!(details["field"], "generation_input_file");
        assert_eq!(issues(&answer)[0]["code"], *code, "{name}");
        for end in ["min", "max"] {
            let told = limit.filter(|(name, _)| *name == end).map(|(_, pixels)| pixels);
            assert_eq!(details[end], json!(told), "{name}");
            assert_eq!(issues(&answer)[0][end], json!(told), "{name}");
        }
    }
    assert_eq!(host.asked(), cases.len());
    nothing_happened(&app);
}

async fn servers_that_do_not_play_fair_are_given_up(backend: Backend) {
    let app = TestApp::start_with(backend, &[("input_files.timeout_ms", "1500")]).await;
    let png = drawn(ImageFormat::Png, 64, 64);
    let longer = [b"HTTP/1.1 200 OK\r\ncontent-length: 10000\r\n\r\n", &png[..]].concat();
    let shorter = [b"HTTP/1.1 200 OK\r\ncontent-length: 40\r\n\r\n", &png[..]].concat();
    let huge = b"HTTP/1.1 200 OK\r\ncontent-length: 99999999999\r\n\r\n".to_vec();
    let target = Host::start(move |_| Sent::file(&png)).await;
    let elsewhere = format!("location: {}\r\n", target.url);
    let inside = "location: http://169.254.169.254/latest/meta-data/\r\n";
    let cases: Vec<(&str, Sent, &str)> = vec![
        ("drip", Sent::Drip, "BSE2009"),
        ("silence", Sent::Silence, "BSE2009"),
        ("hangs up", Sent::Raw(Vec::new()), "BSE2009"),
        ("no HTTP", Sent::Raw(b"SSH-2.0-OpenSSH_9.2\r\n".to_vec()), "BSE2009"),
        ("says more than it sends", Sent::Raw(longer), "BSE2009"),
        ("sends more than it says", Sent::Raw(shorter), "BSE2005"),
        ("says much", Sent::Raw(huge), "BSE2007"),
        ("redirects", Sent::head(302, &elsewhere), "BSE2009"),
        ("redirects inside", Sent::head(307, inside), "BSE2009"),
        ("not found", Sent::head(404, ""), "BSE2009"),
        ("broken", Sent::head(500, ""), "BSE2009"),
    ];
    let sent: Vec<Sent> = cases.iter().map(|(_, sent, _)| sent.clone()).collect();
    let host = Host::start(move |path| sent[path[1..].parse::<usize>().unwrap()].clone()).await;
    for (number, (name, _, code)) in cases.iter().enumerate() {
        let began = Instant::now();
        let answer = ask(&app, &[host.at(&format!("/{number}"))]).await;
        refused(&answer, 422, code);
        assert!(began.elapsed() < Duration::from_secs(12), "{name}: {:?}", began.elapsed());
        let reason = issues(&answer)[0]["reason"].as_str().unwrap();
        assert!(!reason.contains("127.0.0.1") && !reason.contains("169.254"), "{name}: {reason}");
    }
    assert_eq!(target.asked(), 0, "a redirect was followed");
    // TLS where there is none, and nobody at all.
    let tls = host.at("/0").replace("http:", "https:");
    refused(&ask(&app, &[tls]).await, 422, "BSE2009");
    let closed = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    refused(&ask(&app, &[format!("http://{closed}/a.png")]).await, 422, "BSE2009");
    refused(&ask(&app, &["http://nowhere.invalid/a.png".to_owned()]).await, 422, "BSE2009");
    nothing_happened(&app);
}

async fn all_files_are_judged_at_once(backend: Backend) {
    let app = TestApp::start(backend).await;
    let host = Host::start(|path| match path {
        "/good" => Sent::file(&drawn(ImageFormat::Png, 64, 64)),
        "/small" => Sent::file(&drawn(ImageFormat::Png, 64, 10)),
        "/page" => Sent::file(b"<!doctype html>"),
        _ => Sent::head(404, ""),
    })
    .await;
    let files = ["/good", "/small", "/page", "/none"].map(|path| host.at(path));
    let answer = ask(&app, &files).await;
    refused(&answer, 422, "BSE2003");
    let told: Vec<(&str, &str)> = issues(&answer)
        .iter()
        .map(|issue| (issue["pointer"].as_str().unwrap(), issue["code"].as_str().unwrap()))
        .collect();
    let expected = [
        ("/generation_input_file/1", "BSE2003"),
        ("/generation_input_file/2", "BSE2004"),
        ("/generation_input_file/3", "BSE2009"),
    ];
    assert_eq!(told, expected);
    // A closing picture is a file like the others.
    let body = json!({ "generation_prompt": "x", "generation_duration": 1,
        "generation_input_file": [host.at("/good")],
        "generation_input_file_last_content": host.at("/page") });
    let answer = send(&app, VIDEO, body.to_string()).await;
    refused(&answer, 422, "BSE2004");
    assert_eq!(pointers(&answer), ["/generation_input_file_last_content"]);
    nothing_happened(&app);
}

async fn nothing_is_asked_inside_the_network(backend: Backend) {
    let app = TestApp::start_with(backend, &[("webhooks.allow_private_targets", "false")]).await;
    let host = Host::start(|_| Sent::file(&drawn(ImageFormat::Png, 64, 64))).await;
    let port = host.url.rsplit(':').next().unwrap();
    for name in ["127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "localtest.me"] {
        let answer = ask(&app, &[format!("http://{name}:{port}/a.png")]).await;
        refused(&answer, 422, "BSE2009");
    }
    assert_eq!(host.asked(), 0);
    nothing_happened(&app);
}

async fn memory_stays_bounded_whatever_is_sent(backend: Backend) {
    const MIB: u64 = 1 << 20;
    let settings = [
        ("input_files.bytes_max", "4194304"),
        ("input_files.in_flight_max", "4"),
        ("input_files.decode_memory_bytes_max", "67108864"),
        ("input_files.decode_threads", "1"),
        // Everybody gets their turn, also where many tests share few processors.
        ("input_files.timeout_ms", "120000"),
    ];
    let app = TestApp::start_with(backend, &settings).await;
    // 36 MiB each when decoded, in a few kilobytes.
    let bomb = encoded(ImageFormat::Png, GrayImage::new(6144, 6144).into());
    // What their decoders take for 19 MiB of pixels is known only from outside.
    let folded = |format| encoded(format, RgbImage::new(2600, 2600).into());
    let (jpeg, webp) = (folded(ImageFormat::Jpeg), folded(ImageFormat::WebP));
    // 225 MiB, more than there may be.
    let greedy = encoded(ImageFormat::Jpeg, GrayImage::new(5120, 5120).into());
    let host = Host::start(move |path| match path.split('?').next().unwrap() {
        "/endless" => Sent::Endless,
        "/bomb" => Sent::file(&bomb),
        "/jpeg" => Sent::file(&jpeg),
        "/webp" => Sent::file(&webp),
        "/greedy" => Sent::file(&greedy),
        _ => Sent::file(&drawn(ImageFormat::Png, 64, 64)),
    })
    .await;
    // What a request takes by itself is not what is measured.
    ask(&app, &[host.at("/")]).await.data();
    let before = app.memory_peak();
    let many = async |path: &str, count: usize| {
        let asks = (0..count).map(|number| {
            let url = host.at(&format!("{path}?{number}"));
            let app = &app;
            async move { ask(app, &[url]).await }
        });
        join_all(asks).await
    };
    // Without a bound these would take 96 MiB and more.
    for answer in many("/endless", 24).await {
        refused(&answer, 422, "BSE2007");
    }
    let taken = app.memory_peak() - before;
    assert!(taken < 64 * MIB, "{} MiB for endless files", taken / MIB);
    refused(&ask(&app, &[host.at("/greedy")]).await, 422, "BSE2005");
    let taken = app.memory_peak() - before;
    assert!(taken < 64 * MIB, "{} MiB for a refused picture", taken / MIB);
    // Four at once would take 144 MiB and more; there is memory for one at a time.
    for path in ["/bomb", "/jpeg", "/webp"] {
        for answer in many(path, 6).await {
            answer.data();
        }
        let taken = app.memory_peak() - before;
        assert!(taken < 110 * MIB, "{} MiB for {path}, which unfolds", taken / MIB);
    }
    let taken = app.memory_peak() - before;
    assert!(taken > 30 * MIB, "{} MiB is less than one of them", taken / MIB);
}

fn crc32(bytes: &[u8]) -> u32 {
    let step = |crc: u32| (crc >> 1) ^ if crc & 1 == 1 { 0xedb8_8320 } else { 0 };
    !bytes.iter().fold(!0, |crc, byte| (0..8).fold(crc ^ u32::from(*byte), |crc, _| step(crc)))
}
