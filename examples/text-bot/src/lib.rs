//! A bot that does sums: `2+40` is answered with `42`.

mod strings;

/// Answers a message. `username` and `step_data` are of no use to this bot.
///
/// With the crate `wasm-bindgen` this is all there is: `#[wasm_bindgen]` in front of it makes what is
/// in `strings.rs`, and that file is not needed.
pub fn text_received(msg: String, _username: String, _step_data: String) -> String {
    let numbers: Result<Vec<i64>, _> = msg.split('+').map(|number| number.trim().parse()).collect();
    match numbers {
        Ok(numbers) => match numbers.iter().try_fold(0_i64, |sum, number| sum.checked_add(*number))
        {
            Some(sum) => sum.to_string(),
            None => "that is too much for me".to_owned(),
        },
        Err(_) => format!("I can add whole numbers, as in 2+40, and not {msg:?}"),
    }
}
