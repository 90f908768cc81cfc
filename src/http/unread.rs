//! What a client goes on sending after it was answered.
//!
//! actix drains the rest of a chunked body once nobody holds its reader, without a limit: a
//! client that never ends its body would keep its connection for ever. As long as the reader is
//! held it closes the connection after the answer instead, as it does with every other body
//! that was not read. So the reader is held until the answer is written.

use std::cell::RefCell;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use actix_web::HttpMessage;
use actix_web::body::{BodySize, BoxBody, MessageBody};
use actix_web::dev::{Payload, ServiceRequest};
use actix_web::error::PayloadError;
use actix_web::http::header::TRANSFER_ENCODING;
use actix_web::web::Bytes;
use futures_util::{Stream, StreamExt};

/// The reader of a chunked body, besides the handler's.
pub(super) struct Unread {
    _reader: Rc<RefCell<Payload>>,
}

impl Unread {
    /// Takes part in reading the body; `None` when it is not chunked.
    pub(super) fn hold(request: &mut ServiceRequest) -> Option<Self> {
        if !request.headers().contains_key(TRANSFER_ENCODING) {
            return None;
        }
        let payload = Rc::new(RefCell::new(request.take_payload()));
        let stream = Box::pin(Shared(Rc::clone(&payload)));
        request.set_payload(Payload::Stream { payload: stream });
        Some(Self { _reader: payload })
    }

    /// Holds it until the body of the answer is written.
    pub(super) fn until_written(self, body: BoxBody) -> BoxBody {
        BoxBody::new(Held { body, _unread: self })
    }
}

/// What the handler reads.
struct Shared(Rc<RefCell<Payload>>);

impl Stream for Shared {
    type Item = Result<Bytes, PayloadError>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.borrow_mut().poll_next_unpin(cx)
    }
}

/// The body of an answer.
struct Held {
    body: BoxBody,
    _unread: Unread,
}

impl MessageBody for Held {
    type Error = <BoxBody as MessageBody>::Error;

    fn size(&self) -> BodySize {
        self.body.size()
    }

    fn poll_next(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Self::Error>>> {
        Pin::new(&mut self.body).poll_next(cx)
    }
}
