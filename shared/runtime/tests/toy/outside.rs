//! Who is outside: a real HTTP server in the test's process, that applies an effect once for each key and does to its answers what a test wants.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;

/// What was asked of it.
#[derive(Default)]
struct Book {
    /// How often it was asked under each key.
    asked: BTreeMap<String, usize>,
    /// The keys in the order in which they were asked for.
    order: Vec<String>,
    under_way: usize,
    most: usize,
}

/// The one outside.
#[derive(Clone)]
pub(crate) struct Outside {
    pub(crate) url: String,
    book: Arc<Mutex<Book>>,
}

impl Outside {
    /// A request says behind a colon what is to become of its first answer, as in `ship:lost`.
    pub(crate) async fn open() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let book = Arc::new(Mutex::new(Book::default()));
        let router = Router::new().route("/", post(ask));
        let router = router.with_state(Arc::clone(&book));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { url, book }
    }

    /// How often it was asked under this key.
    pub(crate) fn asked(&self, key: &str) -> usize {
        self.book
            .lock()
            .unwrap()
            .asked
            .get(key)
            .copied()
            .unwrap_or(0)
    }

    pub(crate) fn order(&self) -> Vec<String> {
        self.book.lock().unwrap().order.clone()
    }

    /// How many it was asked at once at most.
    pub(crate) fn most(&self) -> usize {
        self.book.lock().unwrap().most
    }
}

async fn ask(State(book): State<Arc<Mutex<Book>>>, headers: HeaderMap, body: String) -> Response {
    let key = headers["idempotency-key"].to_str().unwrap().to_owned();
    let first = {
        let mut book = book.lock().unwrap();
        book.order.push(key.clone());
        book.under_way += 1;
        book.most = book.most.max(book.under_way);
        let asked = book.asked.entry(key).or_default();
        *asked += 1;
        *asked == 1
    };
    let what = body.split_once(':').map_or("", |(_, what)| what);
    let answer = match what {
        "hang" if first => {
            tokio::time::sleep(Duration::from_secs(30)).await;
            "done".into_response()
        }
        "slow" => {
            tokio::time::sleep(Duration::from_millis(400)).await;
            "done".into_response()
        }
        "briefly" => {
            tokio::time::sleep(Duration::from_millis(5)).await;
            "done".into_response()
        }
        // It is done, and the connection breaks before anybody hears of it.
        "lost" if first => {
            let broken = futures::stream::iter([Err::<String, _>(std::io::Error::other("lost"))]);
            axum::body::Body::from_stream(broken).into_response()
        }
        "garbage" if first => "<html>\0 our new front page".into_response(),
        "busy" => (StatusCode::SERVICE_UNAVAILABLE, [("retry-after", "1800")]).into_response(),
        "slow-busy" => {
            tokio::time::sleep(Duration::from_millis(400)).await;
            (StatusCode::SERVICE_UNAVAILABLE, [("retry-after", "1800")]).into_response()
        }
        "not-yet" if first => "not yet".into_response(),
        "too-much" if first => "too much".into_response(),
        _ => "done".into_response(),
    };
    book.lock().unwrap().under_way -= 1;
    answer
}
