//! One event to one protocol: a load, what is killed under it and comes back, and what was seen meanwhile.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use stack::service::ServiceProcess;

use super::seen::{self, Note};
use super::{AWAY_FOR, CALLERS, Event, Outcome, Stage};
use crate::distribution::round;
use crate::load::{Live, Load, Pace, Window};
use crate::protocol::Protocol;
use crate::rival::{READY_WITHIN, Rival};
use crate::stock::Stock;
use crate::tally::Tally;
use crate::trip::Shares;

/// Before anything happens: callers connect, caches fill.
const BEFORE: Duration = Duration::from_secs(5);
const AFTER: Duration = Duration::from_secs(6);
/// What a server, or a process, may take to be there again, and a kill to meet a trip between prepare and commit.
const SLACK: Duration = Duration::from_secs(6);
/// How often a coordinator is killed to find it in that moment.
const KILLS_MAX: u32 = 40;
/// What a statement that was on its way when its coordinator died may take.
const ON_ITS_WAY: Duration = Duration::from_millis(100);
/// What the second coordinator prepares begins so.
const VICTIM: &str = "two-phase/two/";

/// When something went away, and when it was back.
struct Away {
    from: Instant,
    until: Instant,
}

impl Stage {
    pub(super) async fn play(&mut self, event: Event, protocol: Protocol) -> Result<Outcome> {
        let began = Instant::now();
        let window = Window {
            from: began,
            until: began + BEFORE + SLACK + AWAY_FOR + AFTER,
        };
        let live = Arc::new(Live::default());
        let loading = self.load(event, protocol, window, &live)?;
        let flight = match protocol {
            Protocol::Saga => None,
            Protocol::TwoPhase => self.stack.databases().get(flight::SPEC.name).cloned(),
        };
        let watching = seen::watch(live, flight, VICTIM, window.until);
        let (notes, away) = tokio::join!(watching, self.happen(event, protocol, window));
        let away = away?;
        let tally = loading.await.context("the load generator panicked")??;
        let ended = Instant::now();
        // What was away to the end of the load comes back here: an audit has to see it.
        if event == Event::ParticipantLost {
            self.server()?.restart().await?;
        }
        let violations = self.audit(protocol).await?;
        Ok(Self::outcome(
            (event, protocol),
            (&notes, &away, window),
            tally,
            ended.elapsed(),
            violations,
        ))
    }

    fn load(
        &self,
        event: Event,
        protocol: Protocol,
        window: Window,
        live: &Arc<Live>,
    ) -> Result<tokio::sync::oneshot::Receiver<Result<Tally>>> {
        let rival = self
            .rival
            .as_ref()
            .filter(|_| protocol == Protocol::TwoPhase);
        let load = Load {
            http: |_| client::http::local(),
            urls: rival.map_or_else(|| self.stack.urls(booking::NAME), Rival::urls),
            pace: Pace::Callers(CALLERS),
            in_flight_max: CALLERS,
            shares: Shares {
                refused: 0,
                cancelled: 0,
            },
            window,
            stock: Arc::new(Stock::own(event == Event::CoordinatorKilled)?),
            live: Arc::clone(live),
        };
        let (done, loading) = tokio::sync::oneshot::channel();
        std::thread::spawn(move || {
            let _ = done.send(load.run());
        });
        Ok(loading)
    }

    fn server(&mut self) -> Result<&mut stack::postgres::Cluster> {
        let server = self.stack.server_of(hotel::SPEC.name);
        server.context("hotel has no server of its own")
    }

    async fn happen(&mut self, event: Event, protocol: Protocol, window: Window) -> Result<Away> {
        tokio::time::sleep_until((window.from + BEFORE).into()).await;
        match event {
            Event::DatabaseAway => {
                let from = Instant::now();
                self.server()?.kill().await?;
                tokio::time::sleep(AWAY_FOR).await;
                self.server()?.restart().await?;
                let until = Instant::now();
                Ok(Away { from, until })
            }
            Event::ParticipantLost => {
                let from = Instant::now();
                self.server()?.kill().await?;
                let until = window.until;
                Ok(Away { from, until })
            }
            Event::CoordinatorKilled => {
                let http = self.stack.http().clone();
                let (from, process) = match protocol {
                    Protocol::Saga => {
                        let from = Instant::now();
                        let process = self.last_booking()?;
                        process.kill().await?;
                        (from, process)
                    }
                    Protocol::TwoPhase => self.kill_in_doubt(&http).await?,
                };
                tokio::time::sleep(AWAY_FOR).await;
                process.restart(&[]).await?;
                process.wait_ready(&http, READY_WITHIN).await?;
                let until = Instant::now();
                Ok(Away { from, until })
            }
        }
    }

    fn last_booking(&mut self) -> Result<&mut ServiceProcess> {
        let mut members = self.stack.services_mut().iter_mut().rev();
        let last = members.find(|member| member.service == booking::NAME);
        Ok(&mut last.context("no booking in this stack")?.process)
    }

    /// Kills a coordinator while something of it lies prepared in flight's database; one that was met at another moment is started again.
    async fn kill_in_doubt(
        &mut self,
        http: &reqwest::Client,
    ) -> Result<(Instant, &mut ServiceProcess)> {
        let rival = self.rival.as_mut().context("no coordinator")?;
        let flight = rival.databases().flight_database_url.clone();
        for _ in 0..KILLS_MAX {
            let from = Instant::now();
            rival.last()?.kill().await?;
            tokio::time::sleep(ON_ITS_WAY).await;
            if two_phase::audit::in_doubt(&flight, VICTIM).await? > 0 {
                return Ok((from, rival.last()?));
            }
            let process = rival.last()?;
            process.restart(&[]).await?;
            process.wait_ready(http, READY_WITHIN).await?;
            // Until its callers are back.
            tokio::time::sleep(ON_ITS_WAY + Duration::from_millis(fastrand::u64(..50))).await;
        }
        bail!("a coordinator was killed {KILLS_MAX} times, and never between prepare and commit")
    }

    fn outcome(
        (event, protocol): (Event, Protocol),
        (notes, away, window): (&[Note], &Away, Window),
        tally: Tally,
        settled: Duration,
        violations: Vec<String>,
    ) -> Outcome {
        let per_s = |from, until| round(seen::per_s(notes, (from, until), |note| note.trips));
        let came_back = away.until < window.until;
        // Of one that lives parts lie prepared all the time: they are its trips under way.
        let locks = protocol == Protocol::TwoPhase && event == Event::CoordinatorKilled;
        let seconds = |time: Duration| round(time.as_secs_f64());
        let mut errors = tally.errors;
        if tally.overloaded > 0 {
            errors.insert(String::from("answered 503"), tally.overloaded);
        }
        Outcome {
            event,
            protocol,
            callers: CALLERS,
            away_s: seconds(away.until - away.from),
            // Not what a cold start takes.
            before_per_s: per_s(window.from + BEFORE / 2, window.from + BEFORE),
            during_per_s: per_s(away.from, away.until),
            after_per_s: came_back.then(|| per_s(away.until, window.until)),
            failed_during: seen::grown(notes, (away.from, away.until), |note| note.failed),
            waiting_at_end: seen::waited_for(notes, away.until),
            errors,
            longest_silence_s: seconds(seen::silence(notes, away.from)),
            locked_s: locks.then(|| seconds(seen::locked(notes, away.from + ON_ITS_WAY))),
            in_doubt_max: seen::most(notes, away.from + ON_ITS_WAY, |locks| locks.in_doubt),
            lock_waiters_max: seen::most(notes, away.from + ON_ITS_WAY, |locks| locks.waiting),
            settled_s: seconds(settled),
            clean: violations.is_empty(),
            violations,
        }
    }
}
