//! minijinja: renders a template with loops, conditions and filters.

use minijinja::{Environment, context};
use programs::{Words, checksum, measure};
use serde::Serialize;

const TEMPLATE: &str = r#"<ul>{% for item in items %}
  <li class="{{ loop.cycle('odd', 'even') }}">{{ item.name | upper }}{% if item.price > 50 %}
    <b>{{ item.price }}</b>{% else %} {{ item.price * 2 }}{% endif %}
    {% for tag in item.tags %}{{ tag }}{% if not loop.last %}, {% endif %}{% endfor %}</li>{% endfor %}
</ul>"#;

#[derive(Serialize)]
struct Item {
    name: String,
    price: u64,
    tags: Vec<String>,
}

fn main() {
    let mut words = Words::new(16, 1000);
    let items: Vec<Item> = (0..300)
        .map(|_| Item {
            name: format!("<{}>", words.next_word()),
            price: words.below(100),
            tags: (0..4).map(|_| words.next_word().to_owned()).collect(),
        })
        .collect();
    let mut environment = Environment::new();
    environment.add_template("list.html", TEMPLATE).expect("a good template");
    measure(|| {
        let template = environment.get_template("list.html").expect("it was added");
        let page = template.render(context! { items => items }).expect("no error");
        checksum(page.as_bytes())
    });
}
