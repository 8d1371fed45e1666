//! Which requests are let in at all: those that are meant for this service, that no web page from elsewhere makes, and whose body is
//! written as it is read here.
//!
//! There is no login in here. Nor is there a CORS header: no page of another origin has any business with a service.

use std::net::{Ipv4Addr, Ipv6Addr};

use axum::extract::Request;
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Version, header};

use crate::problem::Problem;

/// By which names a service may be called, beside addresses and `localhost`. An address is not looked up, and `localhost` is always the
/// caller's own machine: nobody can point either of them here. A page whose own name is made to mean 127.0.0.1 (DNS rebinding) still sends
/// that name.
#[derive(Clone, Debug)]
pub struct Hosts(Vec<String>);

impl Hosts {
    /// The service's own name, and further ones: a host, `*.example.com` for all below one, or `*` for any.
    #[must_use]
    pub fn new(own: &str, more: &[String]) -> Self {
        let more = more.iter().map(|name| name.trim());
        let names = more.filter(|name| !name.is_empty()).chain([own]);
        Self(names.map(str::to_ascii_lowercase).collect())
    }

    fn take(&self, host: &str) -> bool {
        let host = host.trim_end_matches('.').to_ascii_lowercase();
        let address = host.parse::<Ipv4Addr>().is_ok()
            || host
                .strip_prefix('[')
                .and_then(|rest| rest.strip_suffix(']'))
                .is_some_and(|inside| inside.parse::<Ipv6Addr>().is_ok());
        address
            || host == "localhost"
            || host.ends_with(".localhost")
            || self.0.iter().any(|name| matches(name, &host))
    }

    /// Whether pages from there may change something: they are on a host that is named. `*` names none, and neither does being this
    /// machine: a page on another port of it is another page.
    fn invite(&self, host: &str) -> bool {
        let host = host.to_ascii_lowercase();
        let mut named = self.0.iter().filter(|name| *name != "*");
        named.any(|name| matches(name, &host))
    }
}

fn matches(name: &str, host: &str) -> bool {
    match name.strip_prefix('*') {
        Some(below) => host.ends_with(below),
        None => host == name,
    }
}

/// Whether a name of `HOSTS` is one: `*`, a host, or `*.` and a host.
pub(crate) fn is_name(name: &str) -> bool {
    let host = name.strip_prefix("*.").unwrap_or(name);
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    name == "*" || (!host.is_empty() && host.bytes().all(plain) && !host.ends_with('.'))
}

/// The longest target of a request, in bytes. The HTTP library's own bound is far above, and its answer has no words.
const TARGET_MAX: usize = 8 * 1024;
/// The most header lines of a request; the HTTP library, which has no words for it, takes 100.
const HEADERS_MAX: usize = 64;
/// The most bytes of all header lines together.
const HEADERS_BYTES_MAX: usize = 16 * 1024;

/// Lets a request in.
///
/// # Errors
/// 414 and 431 for a head that is too long, 400 without one usable `Host`, 421 when that is not ours, 403 when a web page of another origin would change something, 415 when
/// the body is encoded.
pub(super) fn admit(request: &Request, hosts: &Hosts) -> Result<(), Problem> {
    short(request)?;
    let host = host(request)?;
    if let Some(host) = host.as_ref().filter(|host| !hosts.take(host.host())) {
        let detail = format!(
            "Nobody here is called {:?}. Call the service by its address or its own name, or let its operator add this one to HOSTS.",
            host.host()
        );
        let status = StatusCode::MISDIRECTED_REQUEST;
        return Err(Problem::new(status, "foreign-host", "Foreign host", detail));
    }
    let changes = ![Method::GET, Method::HEAD, Method::OPTIONS].contains(request.method());
    if changes && is_foreign(request.headers(), host.as_ref(), hosts) {
        let detail = "A web page of another origin asks for this, and pages of other origins change nothing here. A page on a host that is named in HOSTS may.";
        let status = StatusCode::FORBIDDEN;
        return Err(Problem::new(
            status,
            "foreign-origin",
            "Foreign origin",
            detail,
        ));
    }
    let mut encodings = request.headers().get_all(header::CONTENT_ENCODING).iter();
    if encodings.any(|encoding| !encoding.as_bytes().eq_ignore_ascii_case(b"identity")) {
        let detail = "The body is compressed or encoded otherwise; send it as it is, without `Content-Encoding`.";
        let status = StatusCode::UNSUPPORTED_MEDIA_TYPE;
        let problem = Problem::new(status, "content-encoding", "Encoded body", detail);
        let identity = HeaderValue::from_static("identity");
        return Err(problem.header(header::ACCEPT_ENCODING, identity));
    }
    Ok(())
}

/// Whether a request's head is as short as heads are.
fn short(request: &Request) -> Result<(), Problem> {
    let target = request.uri().path_and_query();
    if target.is_some_and(|target| target.as_str().len() > TARGET_MAX) {
        let detail = format!(
            "The target of a request has at most {TARGET_MAX} bytes; send the rest in its body."
        );
        let status = StatusCode::URI_TOO_LONG;
        return Err(Problem::new(
            status,
            "long-target",
            "Target too long",
            detail,
        ));
    }
    let lines = request.headers().iter();
    let bytes: usize = lines
        .map(|(name, value)| name.as_str().len() + value.len())
        .sum();
    if request.headers().len() > HEADERS_MAX || bytes > HEADERS_BYTES_MAX {
        let detail = format!(
            "A request has at most {HEADERS_MAX} headers and {HEADERS_BYTES_MAX} bytes in them; leave out what it can do without."
        );
        let status = StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE;
        return Err(Problem::new(
            status,
            "long-headers",
            "Too many headers",
            detail,
        ));
    }
    Ok(())
}

/// For whom the request is; HTTP/1.0 does not have to say so.
fn host(request: &Request) -> Result<Option<Authority>, Problem> {
    let wrong = |detail: &str| {
        let status = StatusCode::BAD_REQUEST;
        Problem::new(status, "host", "Unusable Host", detail)
    };
    let mut named = request.headers().get_all(header::HOST).iter();
    let named = match (named.next(), named.next()) {
        (Some(_), Some(_)) => return Err(wrong("There is more than one header `Host`; send one.")),
        (named, _) => named,
    };
    if named.is_none() && request.version() != Version::HTTP_10 {
        let detail = "There is no header `Host`; HTTP/1.1 wants it to say whom the request is for.";
        return Err(wrong(detail));
    }
    // In the absolute form the header does not count (RFC 9112, 3.2.2).
    let authority = match (request.uri().authority(), named) {
        (Some(authority), _) => Some(authority.clone()),
        (None, Some(named)) => Authority::try_from(named.as_bytes()).ok(),
        (None, None) => return Ok(None),
    };
    let authority = authority.filter(|authority| !authority.as_str().contains('@'));
    let none = "The request names no host; send for example `Host: localhost`.";
    authority.map(Some).ok_or_else(|| wrong(none))
}

/// Whether a browser says that a page of another origin is behind this. Programs send neither header.
fn is_foreign(headers: &HeaderMap, host: Option<&Authority>, hosts: &Hosts) -> bool {
    let cross_site = headers
        .get("sec-fetch-site")
        .is_some_and(|site| site.as_bytes().eq_ignore_ascii_case(b"cross-site"));
    let named = headers.get(header::ORIGIN).map(|origin| {
        let (scheme, authority) = origin.to_str().ok()?.split_once("://")?;
        let authority: Authority = authority.parse().ok()?;
        Some((scheme.to_ascii_lowercase(), authority))
    });
    match named {
        None => cross_site,
        Some(None) => true,
        Some(Some((scheme, origin))) => {
            let port = |authority: &Authority| {
                authority
                    .port_u16()
                    .unwrap_or(if scheme == "https" { 443 } else { 80 })
            };
            let same = host.is_some_and(|host| {
                host.host().eq_ignore_ascii_case(origin.host()) && port(host) == port(&origin)
            });
            !same && !hosts.invite(origin.host())
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use axum::body::Body;

    use super::*;

    fn status(method: &str, headers: &[(&str, &str)]) -> u16 {
        let more = ["*.corp.example", "shop.example"].map(str::to_owned);
        let mut request = axum::http::Request::builder().method(method).uri("/things");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        match admit(
            &request.body(Body::empty()).unwrap(),
            &Hosts::new("shop", &more),
        ) {
            Ok(()) => 200,
            Err(problem) => problem.status().as_u16(),
        }
    }

    #[test]
    fn a_service_is_called_by_an_address_or_by_a_name_of_its_own() {
        for ours in [
            "127.0.0.1",
            "10.1.2.3:8080",
            "[::1]:80",
            "localhost:8080",
            "LOCALHOST",
            "app.localhost",
            "shop:8080",
            "shop.example",
            "shop.example.",
            "eu.corp.example:443",
        ] {
            assert_eq!(status("GET", &[("host", ours)]), 200, "{ours}");
        }
        for foreign in [
            "evil.example",
            "shop.evil.example",
            "127.0.0.1.evil.example",
            "notlocalhost",
            "xshop.example",
            "corp.example.evil.example",
            "corp.example",
        ] {
            assert_eq!(status("GET", &[("host", foreign)]), 421, "{foreign}");
        }
        for name in ["*", "a", "a.example", "*.a.example", "a_b-c"] {
            assert!(is_name(name), "{name}");
        }
        for none in [
            "",
            "*a.example",
            "https://a",
            "a:443",
            "a.example.",
            "*.",
            "a b",
        ] {
            assert!(!is_name(none), "{none}");
        }
        for unusable in ["", "a b", "user@localhost", "[::1"] {
            assert_eq!(status("GET", &[("host", unusable)]), 400, "{unusable}");
        }
        assert_eq!(status("GET", &[]), 400);
        let two = [("host", "localhost"), ("host", "localhost")];
        assert_eq!(status("GET", &two), 400);
    }

    #[test]
    fn a_page_of_another_origin_changes_nothing() {
        let by = |method, name, value| status(method, &[("host", "localhost:8080"), (name, value)]);
        for method in ["POST", "PUT", "DELETE", "PATCH"] {
            for foreign in [
                "https://evil.example",
                "http://localhost:3000",
                "http://localhost",
                "https://localhost",
                "http://127.0.0.1:8080",
                "null",
                "",
            ] {
                assert_eq!(by(method, "origin", foreign), 403, "{method} {foreign}");
            }
            for same in [
                "http://localhost:8080",
                "http://LOCALHOST:8080",
                "https://localhost:8080",
                "https://shop.example",
                "https://a.corp.example:8443",
            ] {
                assert_eq!(by(method, "origin", same), 200, "{method} {same}");
            }
            assert_eq!(by(method, "sec-fetch-site", "cross-site"), 403);
            for own in ["same-origin", "none"] {
                assert_eq!(by(method, "sec-fetch-site", own), 200);
            }
        }
        // What only reads is kept from other pages by the browser itself, for no answer allows it.
        assert_eq!(by("GET", "origin", "https://evil.example"), 200);
    }

    #[test]
    fn an_encoded_body_is_told_so() {
        let by = |value| {
            status(
                "POST",
                &[("host", "localhost"), ("content-encoding", value)],
            )
        };
        assert_eq!((by("gzip"), by("identity"), by("br")), (415, 200, 415));
    }
}
