use std::io::Cursor;

use image::{DynamicImage, ImageFormat};
use object_store::memory::InMemory;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use url::Url;

use super::*;
use crate::address_guard::Policy;

const BYTES_MAX: u64 = 40 << 20;

/// A server that answers every request with these bytes.
async fn serve(answer: Vec<u8>) -> Url {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = [0; 4096];
            // The client may hang up before it has heard all of it.
            let _ = stream.read(&mut request).await;
            let _ = stream.write_all(&answer).await;
        }
    });
    format!("http://127.0.0.1:{port}/out").parse().unwrap()
}

fn says(status: &str, body: &[u8]) -> Vec<u8> {
    let head =
        format!("HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: {}\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}

fn outputs(trusted: &[&Url]) -> (Outputs, Arc<InMemory>) {
    let objects = Arc::new(InMemory::new());
    let trusted = trusted.iter().map(|url| (*url).clone());
    let downloads = Downloads::new(Policy::FILE, trusted, BYTES_MAX).unwrap();
    (Outputs::new(Arc::clone(&objects) as _, downloads), objects)
}

fn picture(format: ImageFormat) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    DynamicImage::new_rgb8(8, 4).write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

async fn take(url: &Url, format: OutputFormat) -> Result<(u64, Bytes), TakeOverError> {
    let (outputs, objects) = outputs(&[url]);
    let file = OutputFile::Url(url.clone());
    let taken = outputs.take_over("a/0", &file, format).await;
    let stored = objects.get(&Key::from("a/0")).await;
    match taken {
        Ok(length) => Ok((length, stored.unwrap().bytes().await.unwrap())),
        Err(error) => {
            assert!(stored.is_err(), "something was stored");
            Err(error)
        }
    }
}

fn is_refused(result: &Result<(u64, Bytes), TakeOverError>) -> bool {
    matches!(result, Err(TakeOverError::Refused(_)))
}

#[tokio::test]
async fn a_picture_is_stored_as_it_is_or_in_the_format_asked_for() {
    let png = picture(ImageFormat::Png);
    let url = serve(says("200 OK", &png)).await;
    let (length, stored) = take(&url, OutputFormat::Png).await.unwrap();
    assert_eq!((length, stored.as_ref()), (png.len() as u64, png.as_slice()));
    for format in [OutputFormat::Jpg, OutputFormat::Webp] {
        let (length, stored) = take(&url, format).await.unwrap();
        assert_eq!(length, stored.len() as u64);
        assert_eq!(media::sniff(&stored), Some(format));
    }
    let (outputs, objects) = outputs(&[]);
    let file = OutputFile::Bytes { format: OutputFormat::Png, bytes: png.into() };
    outputs.take_over("a/0", &file, OutputFormat::Jpg).await.unwrap();
    let stored = objects.get(&Key::from("a/0")).await.unwrap().bytes().await.unwrap();
    assert_eq!(media::sniff(&stored), Some(OutputFormat::Jpg));
}

#[tokio::test]
async fn a_long_film_arrives_whole() {
    let mut film = b"\0\0\0\x20ftypisom".to_vec();
    film.extend((0..3 * PART_BYTES + 17).map(|index| (index % 251) as u8));
    let url = serve(says("200 OK", &film)).await;
    let (length, stored) = take(&url, OutputFormat::Mp4).await.unwrap();
    assert_eq!(length, film.len() as u64);
    assert!(stored == film, "the film was changed on its way");
}

#[tokio::test]
async fn what_is_no_output_is_refused() {
    let film = b"\0\0\0\x20ftypisom\0\0\0\0".to_vec();
    let damaged = &picture(ImageFormat::Png)[..40];
    for (answer, format) in [
        (says("200 OK", b"<html>not found</html>"), OutputFormat::Png),
        (says("200 OK", b""), OutputFormat::Png),
        (says("200 OK", &film), OutputFormat::Png),
        (says("200 OK", &picture(ImageFormat::Png)), OutputFormat::Mp4),
        (says("200 OK", damaged), OutputFormat::Jpg),
        (says("403 Forbidden", b"expired"), OutputFormat::Png),
        (says("404 Not Found", b""), OutputFormat::Png),
    ] {
        let taken = take(&serve(answer).await, format).await;
        assert!(is_refused(&taken), "{taken:?}");
    }
}

#[tokio::test]
async fn what_is_too_large_is_refused_whatever_it_says_of_itself() {
    let announced = b"HTTP/1.1 200 OK\r\ncontent-length: 99999999999\r\n\r\n\0\0\0\x20ftypisom";
    let mut endless = b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n\0\0\0\x20ftypisom".to_vec();
    endless.resize(usize::try_from(BYTES_MAX).unwrap() + (1 << 20), 0);
    for answer in [announced.to_vec(), endless] {
        let taken = take(&serve(answer).await, OutputFormat::Mp4).await;
        assert!(is_refused(&taken), "{taken:?}");
    }
}

#[tokio::test]
async fn what_breaks_off_or_is_not_to_be_had_now_may_be_asked_for_again() {
    let cut =
        b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n\x89PNG\r\n\x1a\n0000000000".to_vec();
    for answer in
        [cut, says("503 Slow Down", b""), says("429 -", b""), b"nonsense\r\n\r\n".to_vec()]
    {
        let taken = take(&serve(answer).await, OutputFormat::Png).await;
        assert!(matches!(taken, Err(TakeOverError::Unavailable(_))), "{taken:?}");
    }
}

#[tokio::test]
async fn private_addresses_are_not_called_unless_an_operator_named_them() {
    let url = serve(says("200 OK", &picture(ImageFormat::Png))).await;
    let file = OutputFile::Url(url.clone());
    let (stranger, _) = outputs(&[]);
    let taken = stranger.take_over("a/0", &file, OutputFormat::Png).await;
    assert!(matches!(taken, Err(TakeOverError::Refused(_))), "{taken:?}");
    // Not even where a server that may be called sends us on.
    let onwards = format!("HTTP/1.1 302 Found\r\nlocation: {url}\r\ncontent-length: 0\r\n\r\n");
    let redirecting = serve(onwards.into_bytes()).await;
    let taken = take(&redirecting, OutputFormat::Png).await;
    assert!(is_refused(&taken), "{taken:?}");
    let (acquainted, _) = outputs(&[&redirecting, &url]);
    let file = OutputFile::Url(redirecting);
    assert!(acquainted.take_over("a/0", &file, OutputFormat::Png).await.is_ok());
}

#[tokio::test]
async fn a_folder_is_removed_with_what_was_never_finished_and_others_stay() {
    let directory = tempfile::tempdir().unwrap();
    let downloads = Downloads::new(Policy::FILE, [], BYTES_MAX).unwrap();
    let outputs = Outputs::local(directory.path(), downloads).unwrap();
    let account = AccountId(uuid::Uuid::from_u128(1));
    let folder = |id| outputs.folder(account, GenerationId(uuid::Uuid::from_u128(id)));
    for key in ["0.png", "1.png"].map(|name| format!("{}/{name}", folder(1))) {
        outputs.put(&key, Bytes::from_static(b"a picture")).await.unwrap();
    }
    let kept = format!("{}/0.png", folder(2));
    outputs.put(&kept, Bytes::from_static(b"a picture")).await.unwrap();
    std::fs::write(directory.path().join(folder(1)).join("2.png#1"), b"half a p").unwrap();
    assert_eq!(outputs.remove(&folder(1)).await.unwrap(), 2);
    assert!(!directory.path().join(folder(1)).exists());
    assert_eq!(outputs.remove(&folder(1)).await.unwrap(), 0, "repeating it is harmless");
    assert_eq!(outputs.remove(&folder(3)).await.unwrap(), 0, "and so is what never was");
    assert!(directory.path().join(kept).exists());
}
