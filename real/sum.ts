// What AssemblyScript makes of classes, a managed array and floats.
class Point {
  constructor(public x: f64, public y: f64) {}
  length(): f64 {
    return Math.sqrt(this.x * this.x + this.y * this.y);
  }
}

/** The lengths of the points (3i, 4i) for i below `count`, added up: 5 * count * (count - 1) / 2. */
export function sum(count: i32): f64 {
  const points = new Array<Point>();
  for (let i = 0; i < count; i++) points.push(new Point(3 * i, 4 * i));
  let total: f64 = 0;
  for (let i = 0; i < points.length; i++) total += points[i].length();
  return total;
}
