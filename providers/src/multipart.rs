//! Forms with files, for the two providers that want them (RFC 7578).

use bytes::{BufMut as _, Bytes, BytesMut};
use uuid::Uuid;

use crate::OutputFormat;

/// A form being written.
pub(crate) struct Form {
    boundary: String,
    bytes: BytesMut,
}

impl Form {
    /// The boundary is made of an id of ours, which no prompt and no file can hold.
    pub(crate) fn new(id: Uuid) -> Self {
        Self { boundary: format!("form-{}", id.simple()), bytes: BytesMut::new() }
    }

    /// `name` is a constant of an adapter's: it needs no escaping.
    pub(crate) fn text(&mut self, name: &str, value: &str) {
        self.part(&format!("name=\"{name}\""), None, value.as_bytes());
    }

    pub(crate) fn file(&mut self, name: &str, format: OutputFormat, content: &[u8]) {
        let head = format!("name=\"{name}\"; filename=\"{name}.{}\"", format.as_str());
        self.part(&head, Some(format.content_type()), content);
    }

    fn part(&mut self, head: &str, content_type: Option<&str>, content: &[u8]) {
        self.put(&format!("--{}\r\ncontent-disposition: form-data; {head}\r\n", self.boundary));
        if let Some(content_type) = content_type {
            self.put(&format!("content-type: {content_type}\r\n"));
        }
        self.put("\r\n");
        self.bytes.put_slice(content);
        self.put("\r\n");
    }

    fn put(&mut self, text: &str) {
        self.bytes.put_slice(text.as_bytes());
    }

    /// The content type, and the body.
    pub(crate) fn finish(mut self) -> (String, Bytes) {
        self.put(&format!("--{}--\r\n", self.boundary));
        (format!("multipart/form-data; boundary={}", self.boundary), self.bytes.freeze())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_has_its_parts_between_boundaries() {
        let mut form = Form::new(Uuid::nil());
        form.text("prompt", "a \"fox\"\r\n--x");
        form.file("image", OutputFormat::Jpg, b"\xff\xd8");
        let (content_type, bytes) = form.finish();
        let boundary = content_type.split_once("boundary=").unwrap().1;
        let body = String::from_utf8_lossy(&bytes).replace(boundary, "B");
        assert_eq!(
            body,
            "--B\r\ncontent-disposition: form-data; name=\"prompt\"\r\n\r\na \"fox\"\r\n--x\r\n\
             --B\r\ncontent-disposition: form-data; name=\"image\"; filename=\"image.jpg\"\r\n\
             content-type: image/jpeg\r\n\r\n\u{fffd}\u{fffd}\r\n--B--\r\n"
        );
    }
}
