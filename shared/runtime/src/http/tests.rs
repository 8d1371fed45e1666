//! Drives a real socket: what a caller gets, for every error that the framework itself can make and for the shell's own routes.
#![expect(clippy::unwrap_used, reason = "tests")]

mod admission;
mod bodies;

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;

use axum::body::Bytes;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use utoipa::ToSchema;

use super::serve::{Limits, serve_within};
use super::*;

#[derive(Deserialize, ToSchema)]
struct Thing {
    name: String,
    #[schema(value_type = Object)]
    raw: Box<RawValue>,
    size: Size,
}

#[derive(Deserialize, ToSchema)]
struct Size {
    width: u32,
}

/// Makes a thing.
#[utoipa::path(post, path = "/things", responses((status = 200, description = "Made")))]
async fn make(Json(thing): Json<Thing>) -> String {
    format!("{} {} {}", thing.name, thing.raw.get(), thing.size.width)
}

#[utoipa::path(get, path = "/things/{id}", responses((status = 200, description = "Shown")))]
async fn show(Path(id): Path<u32>) -> String {
    id.to_string()
}

#[utoipa::path(get, path = "/things", params(Page, ("older" = Option<String>, Query)), responses((status = 200, description = "Listed", body = List<String>), (status = 409, description = "Not now")))]
async fn list(Query(page): Query<Page>) -> Result<List<String>, Problem> {
    let items = vec!["a".to_owned(), "b".to_owned()];
    Ok(List::of(items, page.limit()?, |item| vec![item.clone()]))
}

async fn panics() {
    panic!("the secret of the house")
}

async fn fails() -> (StatusCode, &'static str) {
    (StatusCode::BAD_GATEWAY, "the secret of the house")
}

async fn trace(context: TraceContext) -> String {
    context.traceparent.unwrap_or_default()
}

/// As many connections as a shell takes here.
const CONNECTIONS: u64 = 20;

struct Shell {
    address: SocketAddr,
    drain: oneshot::Sender<()>,
    served: tokio::task::JoinHandle<io::Result<()>>,
}

async fn shell_of(ready: Result<(), String>) -> Shell {
    let big = axum::routing::post(async |body: Bytes| body.len().to_string());
    let api = OpenApiRouter::new()
        .routes(routes!(make))
        .routes(routes!(show))
        .routes(routes!(list))
        .route("/panics", axum::routing::get(panics))
        .route("/fails", axum::routing::get(fails))
        .route("/trace", axum::routing::get(trace))
        .route(
            "/slow",
            axum::routing::get(async || tokio::time::sleep(Duration::from_millis(300)).await),
        )
        .route(
            "/foreign",
            axum::routing::post(async |_: axum::Json<u32>| ()),
        )
        .route("/big", big.layer(DefaultBodyLimit::max(1024 * 1024)));
    let about = About {
        title: "Things",
        description: "For tests",
        version: "1.2.3",
    };
    let metrics = Arc::new(Metrics::new("shop", "things", "4.2").unwrap());
    let names = Names {
        namespace: "shop",
        about,
        hosts: Hosts::new("here", &[]),
    };
    let ready = move || std::future::ready(ready.clone());
    let router = shell(api, names, metrics, ready, |document| {
        std::future::ready(Ok(document))
    });
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (drain, drained) = oneshot::channel();
    let limits = Limits {
        head_within: Duration::from_secs(1),
        unread_within_ms: 1_000,
        connections: CONNECTIONS,
    };
    let served = tokio::spawn(serve_within(
        limits,
        listener,
        router,
        crowded("shop"),
        async move { _ = drained.await },
    ));
    Shell {
        address,
        drain,
        served,
    }
}

#[derive(Debug)]
struct Answer {
    status: u16,
    headers: BTreeMap<String, String>,
    body: String,
}

impl Answer {
    fn read(text: &str) -> Self {
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        let (status, headers) = head.split_once("\r\n").unwrap();
        let header = |line: &str| {
            line.split_once(": ")
                .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
        };
        let status = status.split(' ').nth(1).unwrap().parse().unwrap();
        Self {
            status,
            headers: headers.lines().filter_map(header).collect(),
            body: body.to_owned(),
        }
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }

    /// Asserts that it is a whole problem, and gives its detail.
    fn problem(&self, status: u16, kind: &str) -> String {
        assert_eq!(self.status, status, "{self:?}");
        assert_eq!(self.headers["content-type"], "application/problem+json");
        let problem = self.json();
        assert_eq!(problem["status"], status);
        assert_eq!(problem["type"], format!("urn:shop:problem:{kind}"));
        assert!(
            problem["title"]
                .as_str()
                .is_some_and(|title| !title.is_empty())
        );
        problem["detail"].as_str().unwrap().to_owned()
    }
}

impl Shell {
    async fn ask(&self, method: &str, path: &str, headers: &str, body: &[u8]) -> Answer {
        let length = body.len();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: here\r\nConnection: close\r\nContent-Length: {length}\r\n{headers}\r\n"
        );
        let mut connection = TcpStream::connect(self.address).await.unwrap();
        connection.write_all(head.as_bytes()).await.unwrap();
        // Whole, even where it is refused: a caller must be able to say all before it listens.
        connection.write_all(body).await.unwrap();
        let mut answer = Vec::new();
        connection.read_to_end(&mut answer).await.unwrap();
        Answer::read(std::str::from_utf8(&answer).unwrap())
    }

    async fn get(&self, path: &str) -> Answer {
        self.ask("GET", path, "", b"").await
    }

    async fn post(&self, path: &str, body: &str) -> Answer {
        self.ask(
            "POST",
            path,
            "Content-Type: application/json; charset=utf-8\r\n",
            body.as_bytes(),
        )
        .await
    }
}

#[tokio::test]
async fn the_frameworks_own_errors_are_problems() {
    let shell = shell_of(Ok(())).await;
    shell.get("/nowhere").await.problem(404, "not-found");
    shell.get("/things/seven").await.problem(400, "path");
    shell.get("/things/%ff").await.problem(400, "path");
    let answer = shell.ask("DELETE", "/things", "", b"").await;
    answer.problem(405, "method-not-allowed");
    assert!(answer.headers["allow"].contains("POST"), "{answer:?}");
    shell
        .ask("BREW", "/things", "", b"")
        .await
        .problem(405, "method-not-allowed");
    assert_eq!(shell.ask("HEAD", "/nowhere", "", b"").await.status, 404);
    let detail = shell.get("/things?limit=many").await.problem(400, "query");
    assert!(detail.contains("limit: invalid digit"), "{detail}");
    shell.get("/things?limit=0").await.problem(400, "limit");
    shell
        .post("/foreign", "true")
        .await
        .problem(422, "unprocessable-entity");
}

#[tokio::test]
async fn the_services_faults_stay_in_here() {
    let shell = shell_of(Ok(())).await;
    for (path, status, kind) in [("/panics", 500, "internal"), ("/fails", 502, "bad-gateway")] {
        let answer = shell.get(path).await;
        answer.problem(status, kind);
        assert!(!answer.body.contains("secret"), "{answer:?}");
    }
    assert_eq!(shell.get("/things/7").await.body, "7");
}

#[tokio::test]
async fn probes() {
    let shell = shell_of(Ok(())).await;
    assert_eq!(shell.get("/livez").await.status, 200);
    assert_eq!(shell.get("/readyz").await.status, 200);
    let shell = shell_of(Err("the broker at nats://127.0.0.1:4222".to_owned())).await;
    assert_eq!(shell.get("/livez").await.status, 200);
    let answer = shell.get("/readyz").await;
    assert!(
        answer
            .problem(503, "not-ready")
            .contains("the broker at nats://127.0.0.1:4222")
    );
    assert_eq!(answer.headers["retry-after"], "1");
}

#[tokio::test]
async fn requests_are_measured_by_route() {
    let shell = shell_of(Ok(())).await;
    for path in ["/things/7", "/things/8", "/nowhere", "/anywhere", "/panics"] {
        shell.get(path).await;
    }
    shell.ask("BREW", "/nowhere", "", b"").await;
    let answer = shell.get("/metrics").await;
    assert!(
        answer.headers["content-type"].starts_with("text/plain; version=0.0.4"),
        "{answer:?}"
    );
    let count = |labels: &str| format!("shop_http_request_seconds_count{{{labels}}}");
    for line in [
        count(r#"method="GET",route="/things/{id}",status="200""#) + " 2",
        count(r#"method="GET",route="unmatched",status="404""#) + " 2",
        count(r#"method="_OTHER",route="unmatched",status="404""#) + " 1",
        count(r#"method="GET",route="/panics",status="500""#) + " 1",
    ] {
        assert!(
            answer.body.contains(&line),
            "{line} is not in\n{}",
            answer.body
        );
    }
}

#[tokio::test]
async fn the_document_describes_the_routes_and_their_problems() {
    let answer = shell_of(Ok(())).await.get("/openapi.json").await;
    assert_eq!(answer.headers["content-type"], "application/json");
    let document = answer.json();
    assert!(
        document["openapi"].as_str().unwrap().starts_with("3.1"),
        "{}",
        document["openapi"]
    );
    assert_eq!(document["info"]["title"], "Things");
    assert_eq!(document["info"]["version"], "1.2.3");
    let make = &document["paths"]["/things"]["post"];
    assert_eq!(
        make["requestBody"]["content"]["application/json"]["schema"]["$ref"],
        "#/components/schemas/Thing"
    );
    for status in ["4XX", "5XX"] {
        let problem =
            &make["responses"][status]["content"]["application/problem+json"]["schema"]["$ref"];
        assert_eq!(problem, "#/components/schemas/Problem");
    }
    // An error that is described by itself hides the range, and is a problem all the same.
    let refused = &document["paths"]["/things"]["get"]["responses"]["409"];
    assert!(refused["content"]["application/problem+json"].is_object());
    assert_eq!(
        document["components"]["schemas"]["Problem"]["required"]
            .as_array()
            .unwrap()
            .len(),
        4
    );
    for path in ["/livez", "/readyz", "/metrics"] {
        assert!(document["paths"][path]["get"].is_object(), "{path}");
    }
}

#[tokio::test]
async fn the_callers_trace_goes_on() {
    let shell = shell_of(Ok(())).await;
    let caller = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let answer = shell
        .ask("GET", "/trace", &format!("traceparent: {caller}\r\n"), b"")
        .await;
    assert_eq!(answer.body, caller);
    let fresh = shell
        .ask("GET", "/trace", "traceparent: nonsense\r\n", b"")
        .await
        .body;
    assert_eq!(
        TraceContext::read(Some(&fresh), None).traceparent.unwrap(),
        fresh
    );
}

#[tokio::test]
async fn draining_finishes_what_has_begun_and_waits_for_nobody_else() {
    let shell = shell_of(Ok(())).await;
    let mut idle = TcpStream::connect(shell.address).await.unwrap();
    idle.write_all(b"GET /livez HTTP/1.1\r\nHost: here\r\n\r\n")
        .await
        .unwrap();
    assert!(idle.read(&mut [0; 1024]).await.unwrap() > 0);
    let silent = TcpStream::connect(shell.address).await.unwrap();
    let mut half = TcpStream::connect(shell.address).await.unwrap();
    half.write_all(b"GET /livez HTTP/1.1\r\nHost: he")
        .await
        .unwrap();
    let mut slow = TcpStream::connect(shell.address).await.unwrap();
    slow.write_all(b"GET /slow HTTP/1.1\r\nHost: here\r\n\r\n")
        .await
        .unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;

    shell.drain.send(()).unwrap();
    let mut answer = String::new();
    slow.read_to_string(&mut answer).await.unwrap();
    assert_eq!(Answer::read(&answer).status, 200);
    tokio::time::timeout(Duration::from_secs(5), shell.served)
        .await
        .unwrap()
        .unwrap()
        .unwrap();
    drop((idle, silent, half));
}
