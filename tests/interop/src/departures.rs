//! departures
