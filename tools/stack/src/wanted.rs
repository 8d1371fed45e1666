//! Which processes a stack is to have, by name and port. It starts none of them.

use std::time::Duration;

use anyhow::{Result, bail};

use super::{FIRST_PORT, LegProgram, Options, REPLICA_PORTS, SERVICES, port, process};

const READY_WITHIN: Duration = Duration::from_secs(60);
/// A leg's command may have to build the leg first.
const LEG_READY_WITHIN: Duration = Duration::from_secs(300);

/// A service process that is to be started.
pub(super) struct Wanted<'a> {
    pub(super) service: &'a str,
    pub(super) name: String,
    pub(super) port: Option<u16>,
    /// None for what this program has in it.
    pub(super) leg: Option<&'a LegProgram>,
}

/// Every service process: replicas of the services, and after them the legs, one process each.
pub(super) fn wanted(options: &Options) -> Vec<Wanted<'_>> {
    let port = |offset: u16| options.first_port.map(|first| first.saturating_add(offset));
    let mut all = Vec::new();
    for replica in 0..options.replicas {
        for (place, service) in (0..).zip(SERVICES) {
            let name = match replica {
                0 => service.to_owned(),
                _ => format!("{service}-{}", replica + 1),
            };
            all.push(Wanted {
                service,
                name,
                port: port(place + replica * REPLICA_PORTS),
                leg: None,
            });
        }
    }
    let behind = u16::try_from(SERVICES.len()).unwrap_or(u16::MAX);
    all.extend((behind..).zip(&options.legs).map(|(place, leg)| Wanted {
        service: &leg.name,
        name: leg.name.clone(),
        port: port(place),
        leg: Some(leg),
    }));
    all
}

/// All services and legs by name.
pub(super) fn names(options: &Options) -> impl Iterator<Item = &str> {
    let legs = options.legs.iter().map(|leg| leg.name.as_str());
    SERVICES.into_iter().chain(legs)
}

/// How long one may take until it is ready and has joined.
pub(super) fn within(service: &str) -> Duration {
    if SERVICES.contains(&service) {
        READY_WITHIN
    } else {
        LEG_READY_WITHIN
    }
}

/// Fails with one error naming all taken ports.
pub(super) fn free_or_say(wanted: &[Wanted<'_>]) -> Result<()> {
    let taken: Vec<String> = wanted
        .iter()
        .filter_map(|wanted| Some((&wanted.name, wanted.port?)))
        .filter(|(_, port)| !port::is_free(*port))
        .map(|(name, port)| {
            let who = process::listener(port).unwrap_or_else(|| "another program".into());
            format!("port {port} for {name} is taken by {who}")
        })
        .collect();
    if taken.is_empty() {
        return Ok(());
    }
    bail!(
        "{}: end it, or choose other ports with `--port {}`",
        taken.join("; "),
        FIRST_PORT + 1000
    )
}

#[cfg(test)]
mod tests {
    use super::{Wanted, free_or_say, wanted};
    use crate::Options;

    #[test]
    fn replicas_have_ports_of_their_own() {
        let options = Options {
            replicas: 2,
            legs: vec![crate::legs::typed("train=x").unwrap_or_else(|_| unreachable!())],
            ..Options::kept("x".into())
        };
        let wanted = wanted(&options);
        let wanted: Vec<(&str, Option<u16>)> = wanted
            .iter()
            .map(|wanted| (wanted.name.as_str(), wanted.port))
            .collect();
        assert_eq!(
            wanted,
            [
                ("booking", Some(8080)),
                ("flight", Some(8081)),
                ("hotel", Some(8082)),
                ("booking-2", Some(8180)),
                ("flight-2", Some(8181)),
                ("hotel-2", Some(8182)),
                ("train", Some(8083)),
            ]
        );
    }

    #[test]
    fn a_taken_port_is_named_with_what_to_do() {
        let taken = std::net::TcpListener::bind("127.0.0.1:0");
        let port = taken.as_ref().ok().and_then(|l| l.local_addr().ok());
        let port = port.map(|address| address.port());
        let flight = |port| Wanted {
            service: "flight",
            name: "flight".into(),
            port,
            leg: None,
        };
        let refused = free_or_say(&[flight(port)]);
        assert!(refused.is_err_and(|error| {
            let words = error.to_string();
            words.contains("for flight is taken by") && words.contains("--port")
        }));
        assert!(free_or_say(&[flight(None)]).is_ok());
    }
}
