//! What is deployed agrees with what is built: the compose file, the Kubernetes manifests, the alarms and the dashboards name settings,
//! paths, ports, images, metrics and subjects that the services really have.
//!
//! Nothing here starts a container. Kubernetes' own schemas and a policy checker are `deploy/kubernetes/check`'s business.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod compose;
mod kubernetes;
mod leg;
mod observability;
mod services;
mod yaml;
