//! What a place has where servers are: `NATS_URL` and `POSTGRES_URL` say where, and the latter's user may create databases. Databases and
//! streams stay behind.

use clap::Parser as _;
use runtime::{Service, Settings};
use sqlx::{AssertSqlSafe, Connection as _, Executor as _};
use uuid::Uuid;

use crate::place::Place;
use crate::wallet::Wallets;

fn server(variable: &str) -> String {
    std::env::var(variable).unwrap_or_else(|_| panic!("{variable} says where the server is"))
}

impl Place {
    pub(crate) async fn postgres() -> Self {
        let server = server("POSTGRES_URL");
        let name = format!("toy_{}", Uuid::now_v7().simple());
        let mut connection = sqlx::PgConnection::connect(&server).await.unwrap();
        let create = AssertSqlSafe(format!("create database {name}"));
        connection.execute(create).await.unwrap();
        let (of_server, _) = server.rsplit_once('/').expect("it ends with a database");
        Self::new(|_| format!("{of_server}/{name}"))
    }

    /// One more replica, whole.
    pub(crate) async fn start(&self) -> (runtime::Running, runtime::Handle<Wallets>) {
        self.start_of(self.service(), &[]).await
    }

    /// The same of another service, with further settings.
    pub(crate) async fn start_of<S: Service>(
        &self,
        service: S,
        more: &[(&str, &str)],
    ) -> (runtime::Running, runtime::Handle<S>) {
        #[derive(clap::Parser)]
        #[command(args_override_self = true)]
        struct Only {
            #[command(flatten)]
            settings: Settings,
        }
        let nats = server("NATS_URL");
        let settings = [
            ("--database-url", self.url.as_str()),
            ("--nats-url", &nats),
            ("--listen", "127.0.0.1:0"),
            ("--stream-max-bytes", "10000000"),
            ("--timer-interval-ms", "50"),
            ("--drain-notice-ms", "0"),
        ];
        let settings = settings.iter().chain(more);
        let settings = settings.flat_map(|(name, value)| [*name, *value]);
        let settings = Only::parse_from(["toy"].into_iter().chain(settings)).settings;
        let about = runtime::http::About {
            title: "Toys",
            description: "A toy.",
            version: "1.0.0",
        };
        let mut kept = None;
        let running = runtime::start(service, self.system, about, settings, |handle| {
            kept = Some(handle);
            utoipa_axum::router::OpenApiRouter::new()
        });
        (running.await.unwrap(), kept.unwrap())
    }

    /// The broker, for who pays and listens.
    pub(crate) async fn jetstream() -> async_nats::jetstream::Context {
        let client = async_nats::connect(server("NATS_URL")).await.unwrap();
        async_nats::jetstream::new(client)
    }
}
