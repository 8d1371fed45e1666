//! The one HTTP client to the provider: TLS by rustls, nobody followed elsewhere, and no plain http but to this machine. Not what is asked.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use reqwest::Url;
use reqwest::redirect::Policy;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};

use super::settings::ProviderSettings;

/// Where the provider is, checked.
///
/// # Errors
/// When it is no address, or the key would be read on its way there.
pub(super) fn base(url: &str) -> Result<Url> {
    let what = "PROVIDER_URL has to be an address such as https://api.stripe.com";
    // Whatever was given is not repeated: an address can have a password in it.
    let Ok(mut base) = url.parse::<Url>() else {
        bail!("{what}");
    };
    ensure!(
        base.has_host() && base.username().is_empty() && base.password().is_none(),
        "{what}, without a user in it"
    );
    match base.scheme() {
        "https" => {}
        "http" if is_here(&base) => {}
        "http" => bail!(
            "PROVIDER_URL: the key is not sent over plain http, where others can read it on its way; give the https:// address"
        ),
        _ => bail!("{what}"),
    }
    base.set_query(None);
    base.set_fragment(None);
    Ok(base)
}

/// The client.
///
/// # Errors
/// When the certificates cannot be read, or TLS cannot be set up.
#[expect(
    clippy::disallowed_methods,
    reason = "a provider is none of our services: it gets its own key, and never the token of who asks"
)]
pub(super) fn client(base: &Url, settings: &ProviderSettings) -> Result<reqwest::Client> {
    let ca_file = settings.provider_ca_file.as_deref();
    let mut client = reqwest::Client::builder()
        .redirect(Policy::none())
        .tls_backend_preconfigured(config(roots(ca_file)?)?)
        .connect_timeout(Duration::from_millis(settings.provider_connect_timeout_ms))
        .timeout(Duration::from_millis(settings.provider_timeout_ms))
        .user_agent(concat!("roundtrip-payment/", env!("CARGO_PKG_VERSION")));
    if base.scheme() == "http" {
        client = client.no_proxy();
    }
    client.build().context("an HTTP client cannot be made")
}

/// This very machine.
fn is_here(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let ip = bare.parse::<std::net::IpAddr>();
    host == "localhost" || ip.is_ok_and(|ip| ip.is_loopback())
}

fn roots(ca_file: Option<&Path>) -> Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    let Some(file) = ca_file else {
        return Ok(roots);
    };
    let unusable = || {
        format!(
            "PROVIDER_CA_FILE: no certificates can be read in {}",
            file.display()
        )
    };
    let pem = std::fs::read(file).with_context(unusable)?;
    let named = CertificateDer::pem_slice_iter(&pem).collect::<Result<Vec<_>, _>>();
    let named = named.ok().filter(|named| !named.is_empty());
    for certificate in named.with_context(unusable)? {
        roots.add(certificate).with_context(unusable)?;
    }
    Ok(roots)
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
    use super::*;

    #[test]
    fn the_key_goes_nowhere_in_the_clear() {
        for url in [
            "http://10.0.0.1",
            "http://api.stripe.com",
            "http://127.0.0.1.example",
            "ftp://127.0.0.1",
            "api.stripe.com",
            "https://user:secret@api.stripe.com",
        ] {
            let refused = base(url);
            assert!(
                refused.is_err_and(|error| !format!("{error:#}").contains("secret@")),
                "{url}"
            );
        }
        for url in [
            "https://api.stripe.com",
            "http://127.0.0.1:12111",
            "http://localhost:1/",
            "http://[::1]:1",
        ] {
            assert!(base(url).is_ok(), "{url}");
        }
    }
}
