//! What is sold, where and to whom: the same goods, stores and names for every seed.

use rand::Rng;
use rand::rngs::StdRng;

pub const PRODUCTS: u32 = 600;
pub const STORES: u16 = 40;

/// Shelf groups with what stands there and what it costs about, in won.
const SHELVES: [(&str, [&str; 5], u32); 12] = [
    ("과일", ["사과", "배", "감귤", "포도", "딸기"], 6_000),
    ("채소", ["배추", "무", "상추", "시금치", "고추"], 3_000),
    ("유제품", ["우유", "요거트", "치즈", "버터", "크림"], 4_000),
    (
        "정육",
        ["한우 불고기", "삼겹살", "닭가슴살", "오리 훈제", "양념갈비"],
        15_000,
    ),
    ("수산", ["고등어", "오징어", "새우", "김", "멸치"], 9_000),
    (
        "음료",
        ["보리차", "식혜", "탄산수", "커피", "유자차"],
        2_500,
    ),
    (
        "과자",
        ["새우과자", "약과", "초콜릿", "쿠키", "전병"],
        2_000,
    ),
    (
        "라면",
        ["매운라면", "짜장라면", "우동", "비빔면", "쌀국수"],
        1_500,
    ),
    (
        "주방",
        ["프라이팬", "냄비", "도마", "수저 세트", "밀폐용기"],
        22_000,
    ),
    (
        "세제",
        ["세탁세제", "주방세제", "섬유유연제", "표백제", "비누"],
        8_000,
    ),
    ("완구", ["블록", "인형", "퍼즐", "공", "보드게임"], 25_000),
    ("문구", ["공책", "볼펜", "색연필", "스티커", "필통"], 3_500),
];
const MAKES: [&str; 10] = [
    "햇살",
    "한라",
    "맑은샘",
    "다온",
    "은하",
    "솔잎",
    "두레",
    "가온",
    "누리",
    "바다향",
];

const FAMILY_NAMES: [&str; 10] = ["김", "이", "박", "최", "정", "강", "조", "윤", "장", "임"];
const GIVEN_NAMES: [&str; 12] = [
    "서연", "민준", "지우", "하은", "도윤", "수아", "예준", "지민", "은우", "다은", "현우", "유진",
];

pub const CITIES: [(&str, &str); 8] = [
    ("서울특별시", "강남구 테헤란로"),
    ("부산광역시", "해운대구 해변로"),
    ("대구광역시", "중구 동성로"),
    ("인천광역시", "연수구 송도과학로"),
    ("광주광역시", "서구 상무대로"),
    ("대전광역시", "유성구 대학로"),
    ("경기도", "수원시 팔달로"),
    ("제주특별자치도", "제주시 노형로"),
];

pub struct Product {
    pub code: String,
    pub barcode: String,
    pub name: String,
    pub shelf: &'static str,
    /// Whole won, as prices are.
    pub price: u32,
}

/// The product with this number, counted from 0.
pub fn product(number: u32) -> Product {
    let (shelf, names, price) = &SHELVES[number as usize % SHELVES.len()];
    let round = number as usize / SHELVES.len();
    let name = names[round % names.len()];
    let make = MAKES[round / names.len() % MAKES.len()];
    Product {
        code: format!("P-{:05}", number + 1),
        barcode: barcode(number),
        name: format!("{make} {name}"),
        shelf,
        price: price + round as u32 * price / 100 * 10,
    }
}

/// EAN-13: Korea's prefix 880, nine digits, and the check digit that makes the weighted sum a multiple of ten.
pub fn barcode(number: u32) -> String {
    let digits = format!("880{:09}", 310_000_000 + number);
    let sum: u32 = digits
        .bytes()
        .enumerate()
        .map(|(at, digit)| u32::from(digit - b'0') * if at % 2 == 0 { 1 } else { 3 })
        .sum();
    format!("{digits}{}", (10 - sum % 10) % 10)
}

/// A product's number; few are sold often, many seldom.
pub fn any_product(random: &mut StdRng) -> u32 {
    let popularity: f64 = random.random();
    (popularity * popularity * f64::from(PRODUCTS)) as u32
}

/// Every tenth store rests on Sundays.
pub fn open_on_sundays(store: u16) -> bool {
    !store.is_multiple_of(10)
}

pub fn person(random: &mut StdRng) -> String {
    let family = FAMILY_NAMES[random.random_range(0..FAMILY_NAMES.len())];
    let given = GIVEN_NAMES[random.random_range(0..GIVEN_NAMES.len())];
    format!("{family}{given}")
}

/// An address as JSON text.
pub fn address(random: &mut StdRng) -> String {
    let (city, street) = CITIES[random.random_range(0..CITIES.len())];
    let (number, postcode) = (
        random.random_range(1..300),
        random.random_range(1_000..64_000),
    );
    format!(r#"{{"city": "{city}", "street": "{street} {number}", "postcode": "{postcode:05}"}}"#)
}
