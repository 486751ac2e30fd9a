//! Iceberg's bucket transform: murmur3_x86_32 with seed 0 over the value's bytes.
//!
//! Source: Apache Iceberg table specification, appendix B, "32-bit Hash Requirements".

/// The bucket of a hash: `(hash & 0x7fffffff) mod n`.
pub fn bucket(hash: u32, buckets: u32) -> u32 {
    (hash & 0x7fff_ffff) % buckets.max(1)
}

/// Integers of every width, dates (days) and timestamps (µs): eight bytes, little-endian.
pub fn hash_integer(value: i64) -> u32 {
    murmur3(&value.to_le_bytes())
}

/// Decimals: the unscaled value in the fewest bytes of two's complement, big-endian.
pub fn hash_decimal(unscaled: i128) -> u32 {
    let bytes = unscaled.to_be_bytes();
    let is_spare = |i: usize| match unscaled < 0 {
        false => bytes[i] == 0 && bytes[i + 1] < 0x80,
        true => bytes[i] == 0xff && bytes[i + 1] >= 0x80,
    };
    let spare = (0..bytes.len() - 1).take_while(|i| is_spare(*i)).count();
    murmur3(&bytes[spare..])
}

/// Text (UTF-8) and binary: their bytes.
pub fn hash_bytes(bytes: &[u8]) -> u32 {
    murmur3(bytes)
}

fn murmur3(data: &[u8]) -> u32 {
    let scramble = |k: u32| {
        k.wrapping_mul(0xcc9e_2d51)
            .rotate_left(15)
            .wrapping_mul(0x1b87_3593)
    };
    let mut hash = 0_u32;
    let chunks = data.chunks_exact(4);
    let rest = chunks.remainder();
    for chunk in chunks {
        hash ^= scramble(u32::from_le_bytes([chunk[0], chunk[1], chunk[2], chunk[3]]));
        hash = hash
            .rotate_left(13)
            .wrapping_mul(5)
            .wrapping_add(0xe654_6b64);
    }
    if !rest.is_empty() {
        let tail = rest
            .iter()
            .rev()
            .fold(0_u32, |k, byte| (k << 8) | u32::from(*byte));
        hash ^= scramble(tail);
    }
    hash ^= data.len() as u32;
    hash = (hash ^ (hash >> 16)).wrapping_mul(0x85eb_ca6b);
    hash = (hash ^ (hash >> 13)).wrapping_mul(0xc2b2_ae35);
    hash ^ (hash >> 16)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hashes_are_those_of_the_iceberg_specification() {
        let day = jiff::civil::date(2017, 11, 16);
        let days = day
            .since(jiff::civil::date(1970, 1, 1))
            .expect("in range")
            .get_days();
        let timestamp: jiff::Timestamp = "2017-11-16T22:31:08Z".parse().expect("a timestamp");
        let uuid = 0xf79c_3e09_677c_4bbd_a479_3f34_9cb7_85e7_u128;
        for (what, hash, published) in [
            ("int 34", hash_integer(34), 2_017_239_379),
            ("decimal 14.20", hash_decimal(1420), -500_754_589),
            ("date 2017-11-16", hash_integer(days.into()), -653_330_422),
            ("time 22:31:08", hash_integer(81_068_000_000), -662_762_989),
            (
                "timestamp 2017-11-16T22:31:08",
                hash_integer(timestamp.as_microsecond()),
                -2_047_944_441,
            ),
            ("string iceberg", hash_bytes(b"iceberg"), 1_210_000_089),
            ("uuid", hash_bytes(&uuid.to_be_bytes()), 1_488_055_340),
            (
                "binary 00 01 02 03",
                hash_bytes(&[0, 1, 2, 3]),
                -188_683_207,
            ),
        ] {
            assert_eq!(hash as i32, published, "{what}");
        }
    }

    #[test]
    fn decimals_are_hashed_in_their_fewest_bytes() {
        for (unscaled, bytes) in [
            (0_i128, &[0_u8][..]),
            (127, &[0x7f]),
            (128, &[0, 0x80]),
            (-1, &[0xff]),
            (-128, &[0x80]),
            (-129, &[0xff, 0x7f]),
            (i128::MAX, &i128::MAX.to_be_bytes()),
            (i128::MIN, &i128::MIN.to_be_bytes()),
        ] {
            assert_eq!(hash_decimal(unscaled), murmur3(bytes), "{unscaled}");
        }
    }

    #[test]
    fn a_bucket_is_never_negative() {
        assert_eq!(bucket(u32::MAX, 16), 15);
        assert_eq!(bucket(hash_integer(34), 16), 3);
    }
}
