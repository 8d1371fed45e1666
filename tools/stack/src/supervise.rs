//! Looks after a running stack: what crashed is reported and started again, with a growing pause. Not for tests that crash things
//! themselves.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use client::paint::visible_path;
use futures::future::join_all;
use runtime::outgoing::STORES_NOTHING;

use super::Stack;
use super::broker::Broker;
use super::postgres::Cluster;
use crate::{Say, disk, logs};

/// How long a service may take to say whether it is ready.
const ANSWER_WITHIN: Duration = Duration::from_secs(3);

const LOOK_EVERY: Duration = Duration::from_millis(100);
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// How often the services are asked whether the broker stores anything.
const ASK_EVERY: Duration = Duration::from_secs(5);
/// A broker that stores nothing is restarted no more often than this.
const RESTART_EVERY: Duration = Duration::from_secs(60);
/// With less than this on its disk a restart would not help, in bytes.
const SPACE_MIN: u64 = 4 << 20;
/// How soon the state is written again that could not be.
const WRITE_AGAIN: Duration = Duration::from_secs(5);
/// How often the logs are looked at.
const LOGS_EVERY: Duration = Duration::from_secs(5);
/// Who ran this long has recovered: its next crash is a first one.
const RECOVERED: Duration = Duration::from_secs(60);

/// What is known of one process' crashes.
#[derive(Debug)]
struct Patience {
    next_pause: Duration,
    since: Instant,
    due: Option<Instant>,
}

/// What is to be done.
#[derive(Debug, PartialEq, Eq)]
enum Todo {
    Nothing,
    /// It just ended; it is started again after this pause.
    Tell(Duration),
    Start,
}

impl Patience {
    fn new(now: Instant) -> Self {
        Self {
            next_pause: FIRST_PAUSE,
            since: now,
            due: None,
        }
    }

    fn look(&mut self, down: bool, now: Instant) -> Todo {
        match self.due {
            _ if !down => Todo::Nothing,
            None => {
                if now.duration_since(self.since) >= RECOVERED {
                    self.next_pause = FIRST_PAUSE;
                }
                let pause = self.next_pause;
                self.next_pause = LONGEST_PAUSE.min(pause * 2);
                self.due = Some(now + pause);
                Todo::Tell(pause)
            }
            Some(due) if now >= due => {
                self.due = None;
                self.since = now;
                Todo::Start
            }
            Some(_) => Todo::Nothing,
        }
    }
}

/// When the services are next asked whether the broker stores what they say.
#[derive(Debug)]
struct Storing {
    ask: Instant,
    /// The broker was restarted for it, or could not be: not again before this.
    not_before: Instant,
    told_full: bool,
}

impl Storing {
    fn new(now: Instant) -> Self {
        Self {
            ask: now + ASK_EVERY,
            not_before: now,
            told_full: false,
        }
    }
}

/// Whether the state that lies in the folder is older than it should be, and until when nobody tries again.
#[derive(Debug, Default)]
struct Unwritten(Option<Instant>);

impl Unwritten {
    fn is_due(&self, now: Instant) -> bool {
        self.0.is_some_and(|again| now >= again)
    }

    fn note(&mut self, written: anyhow::Result<()>, now: Instant, say: Say) {
        match written {
            Ok(()) => {
                if self.0.take().is_some() {
                    say("the stack's state is written again");
                }
            }
            Err(error) => {
                if self.0.is_none() {
                    say(&format!(
                        "the stack's state cannot be written, so other commands may not see what changed; trying on: {error:#}"
                    ));
                }
                self.0 = Some(now + WRITE_AGAIN);
            }
        }
    }
}

fn tell(say: Say, what: &str, how: &str, log: &Path, pause: Duration) {
    say(&format!(
        "{what} ended ({how}) and is started again in {} s; its log: {}",
        pause.as_secs(),
        visible_path(log)
    ));
}

fn restarted(say: Say, what: &str, done: anyhow::Result<()>) {
    match done {
        Ok(()) => say(&format!("{what} is started again")),
        Err(error) => say(&format!("{what} could not be started again: {error:#}")),
    }
}

fn how(status: Option<std::process::ExitStatus>) -> String {
    status.map_or_else(|| "it is not running".into(), |status| status.to_string())
}

impl Stack {
    /// Starts again whatever ends, for as long as this is awaited. A folder that cannot be written just now (its disk is full) ends nothing:
    /// the state is written once it can be.
    pub async fn supervise(&mut self, say: Say<'_>) -> std::convert::Infallible {
        let new = || Patience::new(Instant::now());
        let (mut of_cluster, mut of_broker, mut of_sandbox) = (new(), new(), new());
        let mut services: Vec<Patience> = self.services.iter().map(|_| new()).collect();
        let mut unwritten = Unwritten::default();
        let mut storing = Storing::new(Instant::now());
        let mut look_at_logs = Instant::now();
        loop {
            let mut changed = self
                .mend_servers(&mut of_cluster, &mut of_broker, say)
                .await;
            changed |= self.mend_sandbox(&mut of_sandbox, say);
            for (member, patience) in self.services.iter_mut().zip(&mut services) {
                let ended = member.process.ended();
                match patience.look(ended.is_some(), Instant::now()) {
                    Todo::Nothing => {}
                    Todo::Tell(pause) => {
                        tell(say, member.process.name(), &how(ended), &member.log, pause);
                        changed = true;
                    }
                    Todo::Start => {
                        let done = member.process.restart(&[]).await;
                        restarted(say, member.process.name(), done);
                        changed = true;
                    }
                }
            }
            if Instant::now() >= storing.ask {
                changed |= self.mend_storing(&mut storing, say).await;
                storing.ask = Instant::now() + ASK_EVERY;
            }
            if Instant::now() >= look_at_logs {
                // Without room for a copy a log grows on, until there is.
                for log in self.logs() {
                    let _ = logs::put_aside(&log);
                }
                look_at_logs = Instant::now() + LOGS_EVERY;
            }
            if changed || unwritten.is_due(Instant::now()) {
                unwritten.note(self.write_state(), Instant::now(), say);
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    fn logs(&self) -> Vec<PathBuf> {
        let services = self.services.iter().map(|member| member.log.clone());
        let broker = self.broker.iter().map(Broker::log);
        let sandbox = self.sandbox.iter().map(|it| it.log().to_owned());
        services
            .chain(broker)
            .chain(sandbox)
            .chain(self.cluster.iter().map(Cluster::log))
            .collect()
    }

    /// A broker whose disk was full answers, and stores nothing, until it is started again; the services know it by their own facts.
    async fn mend_storing(&mut self, storing: &mut Storing, say: Say<'_>) -> bool {
        let Some(why) = self.stores_nothing().await else {
            storing.told_full = false;
            return false;
        };
        let Some(broker) = self.broker.as_mut().filter(|it| it.pid().is_some()) else {
            return false;
        };
        if disk::free_bytes(&broker.store()).is_some_and(|bytes| bytes < SPACE_MIN) {
            if !std::mem::replace(&mut storing.told_full, true) {
                say(&format!(
                    "{why}; its disk is full. It is restarted once there is space"
                ));
            }
            return false;
        }
        if Instant::now() < storing.not_before {
            return false;
        }
        storing.not_before = Instant::now() + RESTART_EVERY;
        say(&format!("{why}; it is restarted"));
        restarted(say, "the broker", broker.restart().await);
        true
    }

    /// What a service says whose facts the broker does not store.
    async fn stores_nothing(&self) -> Option<String> {
        let asked = self.services.iter().map(async |member| {
            let url = format!("{}/readyz", member.process.url());
            let answer = self
                .http
                .get(url)
                .timeout(ANSWER_WITHIN)
                .send()
                .await
                .ok()?;
            let problem: serde_json::Value = answer.json().await.ok()?;
            let detail = problem["detail"].as_str()?;
            let why = &detail[detail.find(STORES_NOTHING)?..];
            Some(why.split(". The service").next().unwrap_or(why).to_owned())
        });
        join_all(asked).await.into_iter().flatten().next()
    }

    fn mend_sandbox(&mut self, patience: &mut Patience, say: Say<'_>) -> bool {
        let Some(sandbox) = &mut self.sandbox else {
            return false;
        };
        let what = "the payment provider";
        let ended = sandbox.ended();
        let todo = patience.look(ended.is_some(), Instant::now());
        match todo {
            Todo::Nothing => {}
            Todo::Tell(pause) => tell(say, what, &how(ended), sandbox.log(), pause),
            Todo::Start => restarted(say, what, sandbox.restart()),
        }
        todo != Todo::Nothing
    }

    /// Starts PostgreSQL and the broker again when they end.
    async fn mend_servers(
        &mut self,
        of_cluster: &mut Patience,
        of_broker: &mut Patience,
        say: Say<'_>,
    ) -> bool {
        let mut changed = false;
        if let Some(cluster) = &mut self.cluster {
            let ended = cluster.ended();
            let down = ended.is_some() || cluster.pid().is_none();
            let todo = of_cluster.look(down, Instant::now());
            changed |= todo != Todo::Nothing;
            match todo {
                Todo::Nothing => {}
                Todo::Tell(pause) => tell(say, "PostgreSQL", &how(ended), &cluster.log(), pause),
                Todo::Start => restarted(say, "PostgreSQL", cluster.restart().await),
            }
        }
        if let Some(broker) = &mut self.broker {
            let ended = broker.ended();
            let down = ended.is_some() || broker.pid().is_none();
            let todo = of_broker.look(down, Instant::now());
            changed |= todo != Todo::Nothing;
            match todo {
                Todo::Nothing => {}
                Todo::Tell(pause) => tell(say, "the broker", &how(ended), &broker.log(), pause),
                Todo::Start => restarted(say, "the broker", broker.restart().await),
            }
        }
        changed
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::{Patience, Todo};

    #[test]
    fn pauses_grow_and_are_forgotten_after_a_good_run() {
        let s = Duration::from_secs;
        let mut now = Instant::now();
        let mut patience = Patience::new(now);
        assert_eq!(patience.look(false, now), Todo::Nothing);
        for pause in [1, 2, 4, 8, 16, 30, 30] {
            assert_eq!(patience.look(true, now), Todo::Tell(s(pause)));
            assert_eq!(patience.look(true, now), Todo::Nothing, "not yet");
            now += s(pause);
            assert_eq!(patience.look(true, now), Todo::Start);
            assert_eq!(patience.look(false, now), Todo::Nothing);
        }
        now += s(60);
        assert_eq!(patience.look(true, now), Todo::Tell(s(1)));
    }
}
