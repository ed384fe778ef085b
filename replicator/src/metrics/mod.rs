//! The region's metrics for Prometheus, read off a status at each scrape, so that nothing is counted twice; only conflicts
//! by table are counted here.
//!
//! Every name begins with `concord_`, units are base units (seconds, bytes), counters end in `_total` and start at 0
//! with the process. Each metric has the label `region`; `origin` says whose work it is about, `peer` what other region.

mod classic;
mod conflicts;
mod families;

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::{Registry, Unit};
use transaction::RegionName;

pub(crate) use conflicts::ConflictCounts;

use crate::status::Status;

/// All metrics of one region.
pub(crate) struct Metrics {
    registry: Registry,
}

impl Metrics {
    /// Metrics of `region`, from a status that `source` makes at each scrape; it may wait for the disk.
    pub(crate) fn new(region: RegionName, source: impl Fn() -> Status + Send + Sync + 'static) -> Self {
        let labels = [(Cow::from("region"), Cow::from(region.to_string()))];
        let mut registry = Registry::with_prefix_and_labels("concord", labels.into_iter());
        registry.register_collector(Box::new(FromStatus(Box::new(source))));
        Self { registry }
    }

    /// With these counts too.
    pub(crate) fn with_conflicts(mut self, counts: &Arc<ConflictCounts>) -> Self {
        self.registry.register_collector(counts.collector());
        self
    }

    /// The text in the OpenMetrics format.
    pub(crate) fn openmetrics(&self) -> Result<String, fmt::Error> {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.registry)?;
        Ok(text)
    }

    /// The text in the older format of Prometheus, for scrapers that do not ask for the newer one.
    pub(crate) fn classic(&self) -> Result<String, fmt::Error> {
        self.openmetrics().map(|text| classic::from_openmetrics(&text))
    }
}

struct FromStatus(Box<dyn Fn() -> Status + Send + Sync>);

impl fmt::Debug for FromStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FromStatus")
    }
}

impl Collector for FromStatus {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        families::write(&(self.0)(), &mut Writer { encoder })
    }
}

/// One value of a family, under a label or none.
type Sample = (Option<(&'static str, String)>, f64);

/// Writes families; one without a value is left out.
struct Writer<'a> {
    encoder: DescriptorEncoder<'a>,
}

impl Writer<'_> {
    /// A value that goes up and down. `name` is without prefix and unit.
    fn gauge(
        &mut self,
        name: &str,
        unit: Option<Unit>,
        help: &str,
        samples: impl IntoIterator<Item = Sample>,
    ) -> fmt::Result {
        self.family(name, unit, help, MetricType::Gauge, samples)
    }

    /// A value that only grows. `name` is without prefix, unit and `_total`.
    fn counter(
        &mut self,
        name: &str,
        unit: Option<Unit>,
        help: &str,
        samples: impl IntoIterator<Item = Sample>,
    ) -> fmt::Result {
        self.family(name, unit, help, MetricType::Counter, samples)
    }

    /// A family whose samples are 1 and whose labels are what there is to say: those of one sample each. One without any is left out.
    fn facts(&mut self, name: &str, help: &str, samples: &[&[(&str, &str)]]) -> fmt::Result {
        if samples.is_empty() {
            return Ok(());
        }
        let mut family = self.encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
        for labels in samples {
            family.encode_family(labels)?.encode_gauge(&1u32)?;
        }
        Ok(())
    }

    fn family(
        &mut self,
        name: &str,
        unit: Option<Unit>,
        help: &str,
        kind: MetricType,
        samples: impl IntoIterator<Item = Sample>,
    ) -> fmt::Result {
        let mut samples = samples.into_iter().peekable();
        if samples.peek().is_none() {
            return Ok(());
        }
        let mut family = self.encoder.encode_descriptor(name, help, unit.as_ref(), kind)?;
        for (label, value) in samples {
            let labels: Vec<(&str, String)> = label.into_iter().collect();
            let mut metric = family.encode_family(&labels)?;
            match kind {
                MetricType::Counter => metric.encode_counter::<NoLabelSet, f64, f64>(&value, None)?,
                _ => metric.encode_gauge(&value)?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
