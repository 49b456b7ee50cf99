//! One declaration for each metric: its field, type, name, labels with their values, and help, which is its doc comment.

use std::ops::Deref;

use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{
    Error, Gauge, GaugeVec, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec,
    Opts,
};

/// Upper bounds of histogram buckets in seconds: a handler call in the same pod takes one of the first, a slow one may take
/// its whole timeout.
const SECONDS: &[f64] =
    &[0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0];

/// Upper bounds of histogram buckets for numbers of things in one call: from one to as many as the default of
/// `limits.max_field_keys_per_call`.
const SIZES: &[f64] = &[1.0, 2.0, 5.0, 10.0, 25.0, 50.0, 100.0, 250.0, 500.0, 1000.0];

/// A histogram of numbers of things.
#[derive(Clone, Debug)]
pub struct Sizes(Histogram);

impl Deref for Sizes {
    type Target = Histogram;

    fn deref(&self) -> &Histogram {
        &self.0
    }
}

impl Collector for Sizes {
    fn desc(&self) -> Vec<&Desc> {
        self.0.desc()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        self.0.collect()
    }
}

impl Declare for Sizes {
    const KIND: &'static str = "histogram";

    fn declare(name: &str, help: &str, _: &[&str]) -> Result<Self, Error> {
        Histogram::with_opts(HistogramOpts::new(name, help).buckets(SIZES.to_vec())).map(Self)
    }
}

/// What a metric is, for the manual.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MetricEntry {
    /// Its name.
    pub name: &'static str,
    /// Its type in Prometheus.
    pub kind: &'static str,
    /// The names of its labels.
    pub labels: &'static [&'static str],
    /// What it counts or measures.
    pub help: &'static str,
}

/// A type of metric.
pub(super) trait Declare: Collector + Clone + Sized + 'static {
    /// What Prometheus calls it.
    const KIND: &'static str;

    /// The metric of this name.
    fn declare(name: &str, help: &str, labels: &[&str]) -> Result<Self, Error>;

    /// Creates the series of a value of the only label, so that its first increment is an increase.
    fn start_series(&self, _value: &str) {}
}

impl Declare for IntCounter {
    const KIND: &'static str = "counter";

    fn declare(name: &str, help: &str, _: &[&str]) -> Result<Self, Error> {
        Self::new(name, help)
    }
}

impl Declare for IntCounterVec {
    const KIND: &'static str = "counter";

    fn declare(name: &str, help: &str, labels: &[&str]) -> Result<Self, Error> {
        Self::new(Opts::new(name, help), labels)
    }

    fn start_series(&self, value: &str) {
        self.with_label_values(&[value]);
    }
}

impl Declare for IntGauge {
    const KIND: &'static str = "gauge";

    fn declare(name: &str, help: &str, _: &[&str]) -> Result<Self, Error> {
        Self::new(name, help)
    }
}

impl Declare for IntGaugeVec {
    const KIND: &'static str = "gauge";

    fn declare(name: &str, help: &str, labels: &[&str]) -> Result<Self, Error> {
        Self::new(Opts::new(name, help), labels)
    }
}

impl Declare for Gauge {
    const KIND: &'static str = "gauge";

    fn declare(name: &str, help: &str, _: &[&str]) -> Result<Self, Error> {
        Self::new(name, help)
    }
}

impl Declare for GaugeVec {
    const KIND: &'static str = "gauge";

    fn declare(name: &str, help: &str, labels: &[&str]) -> Result<Self, Error> {
        Self::new(Opts::new(name, help), labels)
    }
}

impl Declare for Histogram {
    const KIND: &'static str = "histogram";

    fn declare(name: &str, help: &str, _: &[&str]) -> Result<Self, Error> {
        Self::with_opts(HistogramOpts::new(name, help).buckets(SECONDS.to_vec()))
    }
}

impl Declare for HistogramVec {
    const KIND: &'static str = "histogram";

    fn declare(name: &str, help: &str, labels: &[&str]) -> Result<Self, Error> {
        Self::new(HistogramOpts::new(name, help).buckets(SECONDS.to_vec()), labels)
    }
}

/// The values of a label: a list of them, or an enum.
macro_rules! label_values {
    ([$($value:literal),+]) => { [$($value),+] };
    ($values:ident) => {{
        use crate::model::label::Label;
        crate::telemetry::labels::$values::ALL.iter().map(|value| value.label())
    }};
}
pub(super) use label_values;

/// Declares a struct of metrics, and `declare`, which registers them. A label is followed by its values, a list or an enum of
/// `telemetry/labels.rs`, if all are known and it is the only one: their series are there from the start.
macro_rules! metrics {
    (
        $(#[$about:meta])*
        pub struct $metrics:ident {
            $( $(#[doc = $help:literal])+ $field:ident: $kind:ty = $name:literal
               $({ $($label:ident $(: $values:tt)?),+ })?; )+
        }
    ) => {
        $(#[$about])*
        pub struct $metrics {
            $( $(#[doc = $help])+ pub $field: $kind, )+
        }

        impl $metrics {
            /// What each of them is.
            pub(super) const CATALOGUE: &'static [crate::telemetry::declare::MetricEntry] = &[ $(
                crate::telemetry::declare::MetricEntry {
                    name: $name,
                    kind: <$kind as crate::telemetry::declare::Declare>::KIND,
                    labels: &[$($(stringify!($label)),+)?],
                    help: concat!($($help),+),
                },
            )+ ];

            /// Registers them all.
            ///
            /// # Errors
            /// When two have one name, which a test rules out.
            fn declare(registry: &prometheus::Registry) -> Result<Self, prometheus::Error> {
                use crate::telemetry::declare::Declare;
                Ok(Self { $(
                    $field: {
                        let help = concat!($($help),+).trim();
                        let metric = <$kind>::declare($name, help, &[$($(stringify!($label)),+)?])?;
                        $($($( for value in crate::telemetry::declare::label_values!($values) { metric.start_series(value); } )?)+)?
                        registry.register(Box::new(metric.clone()))?;
                        metric
                    },
                )+ })
            }
        }
    };
}
pub(super) use metrics;
