//! tiny-skia: draws curves, strokes and gradients with smooth edges.

use programs::{checksum, measure};
use tiny_skia::{
    Color, FillRule, GradientStop, LinearGradient, Paint, PathBuilder, Pixmap, Point, SpreadMode,
    Stroke, Transform,
};

fn main() {
    measure(|| {
        let mut pixmap = Pixmap::new(200, 200).expect("not empty");
        let mut paint = Paint { anti_alias: true, ..Paint::default() };
        for number in 0..30u8 {
            let at = f32::from(number) * 5.0;
            let mut path = PathBuilder::new();
            path.move_to(at, 10.0);
            path.cubic_to(190.0 - at, 40.0, at / 2.0, 120.0, 150.0, 190.0 - at);
            path.quad_to(20.0, 150.0, at, 10.0);
            path.close();
            let path = path.finish().expect("not empty");
            let stops = vec![
                GradientStop::new(0.0, Color::from_rgba8(number * 8, 100, 50, 200)),
                GradientStop::new(1.0, Color::from_rgba8(20, number * 7, 220, 120)),
            ];
            let ends = [Point::from_xy(0.0, at), Point::from_xy(200.0, 200.0)];
            let all = Transform::identity();
            paint.shader = LinearGradient::new(ends[0], ends[1], stops, SpreadMode::Pad, all)
                .expect("a gradient");
            pixmap.fill_path(&path, &paint, FillRule::EvenOdd, all, None);
            let stroke = Stroke { width: 1.5, ..Stroke::default() };
            pixmap.stroke_path(&path, &paint, &stroke, all, None);
        }
        checksum(pixmap.data())
    });
}
