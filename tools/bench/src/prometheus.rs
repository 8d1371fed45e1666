//! What a service says of itself at `/metrics`: counters and gauges out of the text that Prometheus reads. Not every metric there is.

/// A page of metrics.
#[derive(Debug)]
pub(crate) struct Page(String);

impl Page {
    /// A service's, if it answers.
    pub(crate) async fn of(http: &reqwest::Client, url: &str) -> Option<Self> {
        let asked = http.get(format!("{url}/metrics"));
        let asked = asked.timeout(std::time::Duration::from_millis(900));
        let answer = asked.send().await.ok()?.error_for_status().ok()?;
        Some(Self(answer.text().await.ok()?))
    }

    /// The sum over all labels; None where there is no such metric.
    pub(crate) fn sum(&self, name: &str) -> Option<f64> {
        let values = self.0.lines().filter_map(|line| {
            let rest = line.strip_prefix(name)?;
            let (labels, value) = rest.rsplit_once(' ')?;
            (labels.is_empty() || labels.starts_with('{')).then(|| value.parse::<f64>().ok())?
        });
        values.fold(None, |sum, value| Some(sum.unwrap_or(0.0) + value))
    }
}

#[cfg(test)]
mod tests {
    use super::Page;

    #[test]
    fn a_metric_is_summed_over_its_labels_and_only_its_own() {
        let page = "# HELP a_in_total Facts.\na_in_total{type=\"x y\"} 3\na_in_total{type=\"z\"} 4\na_in_total_more 9\na_depth 0\n";
        let page = Page(page.into());
        assert_eq!(page.sum("a_in_total"), Some(7.0));
        assert_eq!(page.sum("a_depth"), Some(0.0));
        assert_eq!(page.sum("a"), None);
    }
}
