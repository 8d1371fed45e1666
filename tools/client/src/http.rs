//! How every tool that speaks HTTP reaches whom it speaks to: over TLS, with the token of whoever asks, or plainly on this machine. The one
//! place where an HTTP client is begun, so that no token goes where it must not. Not what is asked.

use std::sync::{Arc, OnceLock};

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use reqwest::redirect::Policy;
use reqwest::{ClientBuilder, Url};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};

use crate::paint::visible;
use crate::redaction::shown;

/// Who asks, as `Authorization: Bearer`: the token, or `@FILE` with it.
pub const TOKEN: &str = "ROUNDTRIP_TOKEN";
/// Certificates (PEM) to trust beside those that the system trusts.
pub const CA_FILE: &str = "ROUNDTRIP_CA_FILE";

/// For a service at this address: `https://`, or `http://`; with the token of the environment, where there is one.
///
/// Nobody is followed elsewhere: services redirect nowhere, and a login page is no answer.
///
/// # Errors
/// When it is no address, the token or the certificates cannot be used, or the token would be read on its way.
pub fn to(url: &Url) -> Result<ClientBuilder> {
    let tls = match url.scheme() {
        "https" => trusting()?,
        "http" => config(RootCertStore::empty())?,
        _ => bail!(
            "{} is not an address such as http://127.0.0.1:8080",
            shown(url.as_str())
        ),
    };
    let client = begin(tls);
    let Some(token) = token()? else {
        return Ok(client);
    };
    let client = client.default_headers(HeaderMap::from_iter([(AUTHORIZATION, token)]));
    if url.scheme() == "https" {
        return Ok(client);
    }
    ensure!(
        is_here(url),
        "{TOKEN} is not sent to {} over plain http, where others can read it on its way: give its https:// address, or unset {TOKEN}",
        shown(url.as_str())
    );
    // Not by way of somebody else either.
    Ok(client.no_proxy())
}

/// For what we started ourselves on this machine: plain HTTP, and no token.
///
/// # Errors
/// When TLS cannot be set up.
pub fn local() -> Result<ClientBuilder> {
    Ok(begin(config(RootCertStore::empty())?))
}

/// A text as it stands, or `@FILE` with it: a command line is no place for what others must not read.
///
/// # Errors
/// When the file cannot be read.
pub fn text(given: &str) -> Result<String> {
    let Some(file) = given.strip_prefix('@') else {
        return Ok(given.to_owned());
    };
    match std::fs::read_to_string(file) {
        Ok(text) => Ok(text.trim().to_owned()),
        Err(error) => bail!("cannot read {}: {error}", visible(file)),
    }
}

/// Whether a token goes along.
pub(crate) fn has_token() -> bool {
    token().is_ok_and(|token| token.is_some())
}

#[expect(clippy::disallowed_methods, reason = "the one place")]
fn begin(tls: ClientConfig) -> ClientBuilder {
    reqwest::Client::builder()
        .redirect(Policy::none())
        .tls_backend_preconfigured(tls)
}

/// This very machine.
fn is_here(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let ip = bare.parse::<std::net::IpAddr>();
    host == "localhost" || ip.is_ok_and(|ip| ip.is_loopback())
}

/// A variable that is set to nothing is not set.
fn set(name: &str) -> Result<Option<String>> {
    match std::env::var(name) {
        Ok(value) => Ok(Some(value).filter(|value| !value.is_empty())),
        Err(std::env::VarError::NotPresent) => Ok(None),
        Err(std::env::VarError::NotUnicode(_)) => bail!("{name} is no text"),
    }
}

fn token() -> Result<Option<HeaderValue>> {
    let Some(token) = set(TOKEN)? else {
        return Ok(None);
    };
    let token = text(&token).context(TOKEN)?;
    ensure!(!token.is_empty(), "{TOKEN}: the file is empty");
    let mut header = HeaderValue::try_from(format!("Bearer {token}"))
        .map_err(|_| anyhow!("{TOKEN} has characters in it that no token has"))?;
    header.set_sensitive(true);
    Ok(Some(header))
}

/// Trusts whom the system trusts, and whom the environment names.
fn trusting() -> Result<ClientConfig> {
    static TRUSTING: OnceLock<ClientConfig> = OnceLock::new();
    if let Some(tls) = TRUSTING.get() {
        return Ok(tls.clone());
    }
    let mut roots = RootCertStore::empty();
    // One that the system has and nobody can read is no reason to trust none; nor is a system that has none.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if let Some(file) = set(CA_FILE)? {
        let unusable = || {
            format!(
                "{CA_FILE}: no certificates can be read in {}",
                visible(&file)
            )
        };
        let pem = std::fs::read(&file).with_context(unusable)?;
        let named = CertificateDer::pem_slice_iter(&pem).collect::<Result<Vec<_>, _>>();
        let named = named.ok().filter(|named| !named.is_empty());
        for certificate in named.with_context(unusable)? {
            roots.add(certificate).with_context(unusable)?;
        }
    }
    let tls = config(roots)?;
    Ok(TRUSTING.get_or_init(|| tls).clone())
}

fn config(roots: RootCertStore) -> Result<ClientConfig> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    Ok(ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth())
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn this_machine_is_told_from_others() {
        let here = |url: &str| is_here(&url.parse().unwrap());
        for url in [
            "http://127.0.0.1:8080",
            "http://127.9.9.9",
            "http://[::1]:1",
            "http://LOCALHOST/x",
        ] {
            assert!(here(url), "{url}");
        }
        for url in [
            "http://10.0.0.1",
            "http://localhost.example",
            "http://127.0.0.1.example",
            "http://[2001::1]",
            "http://0.0.0.0",
        ] {
            assert!(!here(url), "{url}");
        }
    }

    #[test]
    fn what_is_no_http_is_no_address() {
        assert!(to(&"nats://127.0.0.1".parse().unwrap()).is_err());
        assert!(to(&"http://127.0.0.1".parse().unwrap()).is_ok());
        assert!(to(&"https://127.0.0.1".parse().unwrap()).is_ok());
    }
}
