//! The ways to services, broker and databases: who could read along. Nothing in the stack speaks TLS but the broker's client, so this is
//! mostly about where plain connections lead.

use std::collections::BTreeMap;
use std::net::IpAddr;

use crate::doctor::observations::{Connection, Seen};
use crate::doctor::report::{Finding, Group, Sheet};

/// How far a way leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Reach {
    Machine,
    Private,
    Public,
}

pub(super) fn judge(seen: &Seen, findings: &mut Vec<Finding>) {
    let mut plain: BTreeMap<(Reach, &str), Vec<&str>> = BTreeMap::new();
    let mut encrypted: Vec<&str> = Vec::new();
    let server = seen
        .broker
        .as_ref()
        .and_then(|broker| broker.server.as_ref().ok());
    for connection in &seen.connections {
        let host = if reach(connection) == Reach::Machine {
            ""
        } else {
            connection.host.as_str()
        };
        let tls = match connection.scheme.as_str() {
            "tls" | "wss" => true,
            "nats" | "ws" => server.is_some_and(|server| server.tls_required),
            // It is encrypted, and its certificate was checked when the service was asked.
            "https" => continue,
            _ => false,
        };
        if !tls {
            plain
                .entry((reach(connection), host))
                .or_default()
                .push(&connection.to);
        } else if server.is_some() && !encrypted.contains(&connection.to.as_str()) {
            encrypted.push(&connection.to);
        }
    }
    for to in encrypted {
        by_tls(&mut Sheet {
            group: Group::Connections,
            subject: to,
            findings,
        });
    }
    for ((reach, host), to) in plain {
        let to = to.join(", ");
        let mut sheet = Sheet {
            group: Group::Connections,
            subject: if reach == Reach::Machine {
                "this machine"
            } else {
                host
            },
            findings,
        };
        match reach {
            Reach::Machine => sheet.fine("encryption", format!("plain, and never leaves it: {to}")),
            Reach::Private => sheet.fine("encryption", format!("plain, in a private network: {to}")),
            Reach::Public => sheet.warning(
                "encryption",
                format!("plain connection: nothing between here and {host} is encrypted, passwords neither ({to})"),
                "go through a tunnel (ssh -L, a VPN), or ask from inside its network",
            ),
        }
    }
}

fn by_tls(sheet: &mut Sheet<'_>) {
    sheet.fine(
        "encryption",
        "TLS, its certificate verified against this machine's trusted ones",
    );
    sheet.unseen(
        "certificate",
        "when its certificate expires: the broker's client does not tell",
        "openssl s_client -connect HOST:PORT | openssl x509 -noout -enddate",
    );
}

fn reach(connection: &Connection) -> Reach {
    if connection.ips.is_empty() {
        // Not found: only its name tells.
        let name = connection.host.to_ascii_lowercase();
        let inner = [".local", ".internal", ".svc", ".localhost"];
        return match name.as_str() {
            "localhost" => Reach::Machine,
            _ if !name.contains('.') || inner.iter().any(|end| name.ends_with(end)) => {
                Reach::Private
            }
            _ => Reach::Public,
        };
    }
    connection
        .ips
        .iter()
        .map(of_ip)
        .max()
        .unwrap_or(Reach::Public)
}

fn of_ip(ip: &IpAddr) -> Reach {
    let ip = ip.to_canonical();
    let private = match ip {
        // 100.64.0.0/10 is what carriers and cloud networks share.
        IpAddr::V4(ip) => {
            ip.is_private()
                || ip.is_link_local()
                || (ip.octets()[0] == 100 && ip.octets()[1] & 0xc0 == 64)
        }
        IpAddr::V6(ip) => ip.is_unique_local() || ip.is_unicast_link_local(),
    };
    if ip.is_loopback() || ip.is_unspecified() {
        Reach::Machine
    } else if private {
        Reach::Private
    } else {
        Reach::Public
    }
}
