//! A service's process: told by flags and environment, stopped by a signal. What runs in it is started elsewhere.

use std::pin::pin;

use crate::boot::Running;
use crate::settings::Settings;

/// Waits for SIGINT or SIGTERM. They are listened to from when this is called, not only from when it is awaited.
///
/// # Errors
/// When the signals can't be listened to.
pub fn stop_signal() -> impl Future<Output = Result<(), anyhow::Error>> {
    use tokio::signal::unix::{SignalKind, signal};
    let terminate = signal(SignalKind::terminate());
    let interrupt = signal(SignalKind::interrupt());
    async {
        let (mut terminate, mut interrupt) = (terminate?, interrupt?);
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        Ok(())
    }
}

/// Runs a service of this name and version until it is told to stop, then drains it.
///
/// # Errors
/// When it can't be started, in words that say what to do.
pub async fn run<F>(
    service: &'static str,
    version: &'static str,
    settings: Settings,
    start: impl FnOnce(Settings) -> F,
) -> Result<(), anyhow::Error>
where
    F: Future<Output = Result<Running, anyhow::Error>>,
{
    let telemetry = crate::telemetry::init(service, version, &settings.log, settings.log_format)?;
    // From the first moment: in a container, process 1 is deaf to a signal that it does not ask for.
    let mut stop = pin!(stop_signal());
    let running = tokio::select! {
        running = start(settings) => running?,
        stop = &mut stop => return stop,
    };
    tracing::info!(service, address = %running.address, "serving");
    let lost = tokio::select! {
        stop = &mut stop => { stop?; false }
        () = running.lost() => true,
    };
    tracing::info!(service, "draining");
    running.drain().await;
    tracing::info!(service, "stopped");
    // The exporter blocks while it sends its last spans.
    tokio::task::spawn_blocking(move || telemetry.shutdown()).await?;
    anyhow::ensure!(!lost, "a part of it panicked; start it again");
    Ok(())
}

/// A service's whole `main`: settings from flags and environment, then [`run`]. Exits 2 on settings that can't be read.
pub fn main<F>(
    service: &'static str,
    version: &'static str,
    start: impl FnOnce(Settings) -> F,
) -> std::process::ExitCode
where
    F: Future<Output = Result<Running, anyhow::Error>>,
{
    main_with(service, version, |settings, NoMore {}| start(settings))
}

/// Settings of a service that has none of its own.
#[derive(clap::Args)]
struct NoMore {}

/// As [`main`], for a service with settings of its own beside those of every service.
pub fn main_with<O: clap::Args, F>(
    service: &'static str,
    version: &'static str,
    start: impl FnOnce(Settings, O) -> F,
) -> std::process::ExitCode
where
    F: Future<Output = Result<Running, anyhow::Error>>,
{
    use clap::{Args as _, FromArgMatches as _};
    let command = Settings::augment_args(clap::Command::new(service).version(version));
    let command = O::augment_args(command)
        .subcommand_negates_reqs(true)
        .subcommand(
            clap::Command::new("health")
                .about("Ask the one that runs at LISTEN whether it is ready; ends with 0 if it is"),
        );
    let matches = command.get_matches();
    let done = if matches.subcommand_name() == Some("health") {
        let listen = matches.get_one("listen").copied();
        listen.map_or_else(
            || Err(anyhow::anyhow!("LISTEN is not set")),
            crate::health::ask,
        )
    } else {
        let settings = Settings::from_arg_matches(&matches);
        let own = O::from_arg_matches(&matches);
        let (settings, own) = match settings.and_then(|settings| Ok((settings, own?))) {
            Ok(settings) => settings,
            Err(error) => error.exit(),
        };
        let start = |settings| start(settings, own);
        tokio::runtime::Runtime::new()
            .map_err(anyhow::Error::from)
            .and_then(|runtime| runtime.block_on(run(service, version, settings, start)))
    };
    match done {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(error = format!("{error:#}"), "stopped");
            let _ = std::io::Write::write_fmt(
                &mut std::io::stderr(),
                format_args!("{service}: {error:#}\n"),
            );
            std::process::ExitCode::FAILURE
        }
    }
}
