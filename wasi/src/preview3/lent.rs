//! Handles that a subtask has borrowed (`num_lends` of `CanonicalABI.md`): they stay until it has returned.

use crate::canonical::{Component, Value, payload};
use crate::preview2::Lowered;
use wfaas_vm::component::{Type, TypeIndex};

/// The handles that a call borrows by its parameters, each as often as it does.
pub(super) fn lent(lowered: &Lowered, args: &[Value]) -> Vec<u32> {
    let mut handles = Vec::new();
    for (param, value) in lowered.function().params.iter().zip(args) {
        add(&lowered.component, param.ty, value, &mut handles);
    }
    handles
}

/// Adds the handles that a value of this type borrows.
fn add(component: &Component, ty: TypeIndex, value: &Value, handles: &mut Vec<u32>) {
    match (component.ty(ty), value) {
        (Type::Borrow(_), Value::Handle(handle)) => handles.push(*handle),
        (Type::List(element) | Type::FixedList(element, _), Value::List(values)) => {
            values.iter().for_each(|value| add(component, *element, value, handles));
        }
        (Type::Record(fields), Value::Record(values)) => {
            let fields = fields.iter().zip(values);
            fields.for_each(|(field, value)| add(component, field.ty, value, handles));
        }
        (Type::Tuple(elements), Value::Record(values)) => {
            let elements = elements.iter().zip(values);
            elements.for_each(|(element, value)| add(component, *element, value, handles));
        }
        (variant, Value::Case(case, Some(value))) => {
            if let Ok(Some(payload)) = payload(variant, *case) {
                add(component, payload, value, handles);
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wfaas_vm::component::{Bindings, ResourceIndex};

    #[test]
    fn handles_are_found_wherever_they_are_borrowed() {
        let types = vec![
            Type::Borrow(ResourceIndex(0)),
            Type::Own(ResourceIndex(0)),
            Type::List(TypeIndex(0)),
            Type::Option(TypeIndex(2)),
            Type::Tuple(vec![TypeIndex(0), TypeIndex(1), TypeIndex(3)]),
        ];
        let component = Component::new(Bindings { types, ..Bindings::default() }).expect("small");
        let list = Value::List(vec![Value::Handle(7), Value::Handle(3)]);
        let tuple = [Value::Handle(3), Value::Handle(5), Value::some(list)];
        let mut handles = Vec::new();
        add(&component, TypeIndex(4), &Value::Record(tuple.into()), &mut handles);
        assert_eq!(handles, [3, 7, 3]);
    }
}
