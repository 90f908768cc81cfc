//! The spelling of an input URL. Which hosts may be asked is decided where the connection is
//! made, since only there the address is known (`spec/faults.md` B3).

use url::{Host, Url};

use crate::catalogue::field::Misfit;

/// Bytes of a URL: what browsers and servers commonly take.
const URL_MAX: usize = 2048;

/// A public URL as an API takes it: `http` or `https`, written out in full.
///
/// A parser for the web forgives much: it drops tabs and line ends, takes `\` for `/`, and
/// finds a host in `https:host`. Two programs which forgive differently see two hosts in one
/// text, so none of it is accepted.
pub(super) fn check_url(text: &str) -> Result<Url, Misfit> {
    if text.len() > URL_MAX {
        return Err(Misfit::new(format!("must be at most {URL_MAX} bytes")));
    }
    if text.chars().any(|c| c.is_control() || c.is_whitespace() || c == '\\') {
        return Err(Misfit::new("must not contain spaces, backslashes or control characters"));
    }
    let (scheme, rest) = text.split_once("://").unwrap_or_default();
    if !scheme.eq_ignore_ascii_case("http") && !scheme.eq_ignore_ascii_case("https") {
        return Err(Misfit::new("must be a URL that begins with https:// or http://"));
    }
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    if authority.contains('@') {
        return Err(Misfit::new("must not contain a user name or password"));
    }
    let Some(url) = Url::parse(text).ok().filter(|_| !authority.is_empty()) else {
        return Err(Misfit::new("is not a valid URL"));
    };
    // The parser reads `0x7f.1` and `2130706433` as addresses: what is spelled in another way
    // than usual was spelled to deceive.
    if let Some(Host::Ipv4(address)) = url.host()
        && authority.split(':').next() != Some(address.to_string().as_str())
    {
        return Err(Misfit::new("must spell its address as four decimal numbers"));
    }
    Ok(url)
}
