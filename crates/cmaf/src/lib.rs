//! Access units in, CMAF init sections and parts out.
