//! Addresses as they may be shown: without user and password.

/// URLs, separated by commas, without user and password, which may stand in front of the server without a scheme too.
#[must_use]
pub fn shown(urls: &str) -> String {
    let shown = urls
        .split(',')
        .map(|url| match (url.find("://"), url.rfind('@')) {
            (Some(start), Some(end)) if start < end => {
                let (scheme, _) = url.split_at(start + 3);
                let (_, server) = url.split_at(end + 1);
                format!("{scheme}{server}")
            }
            (None, Some(end)) => url.split_at(end + 1).1.to_owned(),
            _ => url.to_owned(),
        });
    shown.collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::shown;

    #[test]
    fn a_password_is_not_shown() {
        assert_eq!(shown("nats://me:secret@h:4222"), "nats://h:4222");
        assert_eq!(shown("nats://a,nats://b:c@d"), "nats://a,nats://d");
        assert_eq!(shown("me:secret@h:4222"), "h:4222");
    }
}
