//! From the topics into the lake.
