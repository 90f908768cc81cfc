//! Reading a request body within bounds of size and time.
//!
//! Not an extractor: those run before authorization has ended, and a body is not read for
//! somebody who may not send one.

use std::time::Duration;

use actix_web::HttpRequest;
use actix_web::http::header::CONTENT_LENGTH;
use actix_web::web::{Bytes, BytesMut, Payload};
use futures_util::StreamExt;
use tokio::time::timeout;

use crate::error::{ApiError, ErrorCode};

/// How much may be sent, and in what time.
#[derive(Debug, Clone, Copy)]
pub struct BodyLimits {
    pub bytes_max: usize,
    pub timeout: Duration,
}

/// The whole body.
///
/// # Errors
/// BSE2010 above the limit, whatever the head claims; BSE2001 when it does not come in time or
/// breaks off: 408 is not in the contract's table.
pub(super) async fn read(
    request: &HttpRequest,
    payload: Payload,
    limits: BodyLimits,
) -> Result<Bytes, ApiError> {
    let announced = request.headers().get(CONTENT_LENGTH).and_then(|it| it.to_str().ok());
    let announced = announced.and_then(|text| text.parse::<usize>().ok()).unwrap_or(0);
    if announced > limits.bytes_max {
        return Err(too_large());
    }
    match timeout(limits.timeout, collect(payload, announced, limits.bytes_max)).await {
        Ok(collected) => collected,
        Err(_) => Err(unreadable("The request body did not arrive in time.")),
    }
}

async fn collect(
    mut payload: Payload,
    announced: usize,
    bytes_max: usize,
) -> Result<Bytes, ApiError> {
    let mut body = BytesMut::with_capacity(announced);
    while let Some(chunk) = payload.next().await {
        let chunk = chunk.map_err(|_| unreadable("The request body broke off."))?;
        if body.len() + chunk.len() > bytes_max {
            return Err(too_large());
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body.freeze())
}

fn too_large() -> ApiError {
    ApiError::new(ErrorCode::PayloadTooLarge).closing()
}

fn unreadable(reason: &str) -> ApiError {
    ApiError::field(ErrorCode::InvalidInput, "body", reason).closing()
}
