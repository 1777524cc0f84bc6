//! One measurement of one scenario on one subject.

/// Which way a metric is better.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Better {
    /// More is better.
    Higher,
    /// Less is better.
    Lower,
    /// Says something about the measurement, not about the subject.
    Neither,
}

/// One number.
#[derive(Clone, Debug, PartialEq)]
pub struct Metric {
    /// What it is, as in "p99".
    pub name: String,
    /// Its unit, as in "ms".
    pub unit: &'static str,
    /// The number.
    pub value: f64,
    /// Which way it is better.
    pub better: Better,
}

impl Metric {
    /// A metric that is better when higher.
    pub fn higher(name: impl Into<String>, unit: &'static str, value: f64) -> Self {
        Self { name: name.into(), unit, value, better: Better::Higher }
    }

    /// A metric that is better when lower.
    pub fn lower(name: impl Into<String>, unit: &'static str, value: f64) -> Self {
        Self { name: name.into(), unit, value, better: Better::Lower }
    }

    /// A metric about the measurement itself.
    pub fn note(name: impl Into<String>, unit: &'static str, value: f64) -> Self {
        Self { name: name.into(), unit, value, better: Better::Neither }
    }
}

/// What one scenario gave on one subject, once.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// The scenario, as in "write, 64 connections".
    pub scenario: String,
    /// The subject's name.
    pub subject: String,
    /// Which repetition, from 1.
    pub round: u32,
    /// What was measured.
    pub metrics: Vec<Metric>,
    /// Why it proves nothing, if so.
    pub invalid: Option<String>,
}

/// The middle of sorted values; `None` when there are none.
#[must_use]
pub fn median(sorted: &[f64]) -> Option<f64> {
    let upper = *sorted.get(sorted.len() / 2)?;
    if sorted.len() % 2 == 1 {
        return Some(upper);
    }
    Some((sorted.get(sorted.len() / 2 - 1)? + upper) / 2.0)
}
