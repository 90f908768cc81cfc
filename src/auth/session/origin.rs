//! Whether a request was made by a page of this server, and whether a path leads into it.

use actix_web::HttpRequest;
use actix_web::http::header::{HOST, ORIGIN};

/// What browsers say of who makes a request. A request that says nothing is none of a browser,
/// and carries no cookie that its owner did not give it.
pub(super) fn is_from_here(request: &HttpRequest) -> bool {
    let text = |name: &str| request.headers().get(name).and_then(|value| value.to_str().ok());
    if let Some(site) = text("sec-fetch-site") {
        return site == "same-origin" || site == "none";
    }
    let Some(origin) = text(ORIGIN.as_str()) else { return true };
    let host = request.uri().authority().map(|authority| authority.as_str());
    let host = host.or_else(|| text(HOST.as_str()));
    host.is_some_and(|host| {
        origin.split_once("://").is_some_and(|(_, authority)| authority.eq_ignore_ascii_case(host))
    })
}

/// A path within this server, as it may stand in `next`: nothing that a browser would take for
/// another host.
pub fn local_path(text: &str) -> Option<&str> {
    let is_path = text.starts_with('/') && !text.starts_with("//");
    // Browsers take a backslash for a slash, and drop tabs and line ends.
    let plain = !text.contains('\\') && !text.chars().any(char::is_control);
    (is_path && plain).then_some(text)
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    fn from_here(headers: &[(&'static str, &'static str)]) -> bool {
        let request = TestRequest::post().insert_header(("host", "sea.example"));
        let request =
            headers.iter().fold(request, |request, header| request.insert_header(*header));
        is_from_here(&request.to_http_request())
    }

    #[test]
    fn other_sites_do_not_send_our_forms() {
        assert!(from_here(&[]));
        assert!(from_here(&[("sec-fetch-site", "same-origin")]));
        assert!(from_here(&[("sec-fetch-site", "none")]));
        assert!(from_here(&[("origin", "https://sea.example")]));
        for site in ["cross-site", "same-site"] {
            assert!(!from_here(&[("sec-fetch-site", site)]), "{site}");
        }
        for origin in ["https://evil.example", "https://sea.example.evil", "null", "sea.example"] {
            assert!(!from_here(&[("origin", origin)]), "{origin}");
        }
    }

    #[test]
    fn only_paths_of_this_server_are_gone_on_with() {
        assert_eq!(local_path("/home/personal?a=b"), Some("/home/personal?a=b"));
        for elsewhere in
            ["", "home", "//evil.example", "https://evil.example", "/\\evil.example", "/\t/evil"]
        {
            assert_eq!(local_path(elsewhere), None, "{elsewhere:?}");
        }
    }
}
