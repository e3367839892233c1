enum Unit { Piece = 1, Kilogram }

interface Item { name: string; unit?: Unit; price: number }

export const total = async (items: Item[], discount: number = 0.1): Promise<number> => {
  let sum = 0;
  for (const { price, unit = Unit.Piece } of items) sum += price * unit ?? 1;
  return sum > 2 ** 10 ? sum * (1 - discount) : sum;
};

export class Shop<T extends Item> {
  #items: T[] = [];
  add(...items: T[]): this { this.#items.push(...items); return this; }
  get names() { return this.#items.map((item) => item?.name ?? "nothing"); }
}
