import { expect, test } from "bun:test";
import { updateCrc32c } from "../../src/base/crc32c.ts";
import { goSort } from "../../src/auth/go_sort.ts";

interface Item {
  readonly key: number;
  readonly place: number;
}

/** Computed with Go 1.26's sort.Sort on the same lists: a CRC-32C over the places that the elements came from. */
const FROM_GO: [size: number, shape: string, distinctKeys: number, crc: string][] = [
  [2, "random", 2, "5bc5d3b0"],
  [2, "random", 7, "5bc5d3b0"],
  [2, "random", 2, "5bc5d3b0"],
  [2, "appended", 2, "5bc5d3b0"],
  [2, "appended", 7, "5bc5d3b0"],
  [2, "appended", 2, "5bc5d3b0"],
  [2, "descending", 2, "9522e17f"],
  [2, "descending", 7, "9522e17f"],
  [2, "descending", 2, "9522e17f"],
  [2, "organ", 2, "5bc5d3b0"],
  [2, "organ", 7, "5bc5d3b0"],
  [2, "organ", 2, "5bc5d3b0"],
  [12, "random", 2, "d910e83c"],
  [12, "random", 7, "e3929530"],
  [12, "random", 12, "3c8fc1d2"],
  [12, "appended", 2, "91a21aba"],
  [12, "appended", 7, "27aad0bf"],
  [12, "appended", 12, "91a21aba"],
  [12, "descending", 2, "e70f0f22"],
  [12, "descending", 7, "e78a5b00"],
  [12, "descending", 12, "0d153506"],
  [12, "organ", 2, "fd8b8c4b"],
  [12, "organ", 7, "72199c10"],
  [12, "organ", 12, "475cafb8"],
  [13, "random", 2, "5dd82164"],
  [13, "random", 7, "9ee3b19f"],
  [13, "random", 13, "2dcac12a"],
  [13, "appended", 2, "727e3b9e"],
  [13, "appended", 7, "6c4b7025"],
  [13, "appended", 13, "6266aad9"],
  [13, "descending", 2, "852029d3"],
  [13, "descending", 7, "197bebe5"],
  [13, "descending", 13, "875a46cb"],
  [13, "organ", 2, "806680ac"],
  [13, "organ", 7, "410acd7c"],
  [13, "organ", 13, "133afd03"],
  [30, "random", 2, "b1c21b60"],
  [30, "random", 7, "5215b3dd"],
  [30, "random", 30, "b75f7f9c"],
  [30, "appended", 2, "83bbbef6"],
  [30, "appended", 7, "59861d78"],
  [30, "appended", 30, "6de01f21"],
  [30, "descending", 2, "5167c236"],
  [30, "descending", 7, "8a3bb40b"],
  [30, "descending", 30, "b724bf3c"],
  [30, "organ", 2, "ed8eb322"],
  [30, "organ", 7, "c501e16c"],
  [30, "organ", 30, "d891d241"],
  [49, "random", 2, "21f02150"],
  [49, "random", 7, "6dd4a29f"],
  [49, "random", 49, "62919cfc"],
  [49, "appended", 2, "8d926d44"],
  [49, "appended", 7, "1c959196"],
  [49, "appended", 49, "d63b43ba"],
  [49, "descending", 2, "a7764865"],
  [49, "descending", 7, "a21bed0d"],
  [49, "descending", 49, "ce3dc909"],
  [49, "organ", 2, "4d4a4c1e"],
  [49, "organ", 7, "06c7b145"],
  [49, "organ", 49, "05661f89"],
  [50, "random", 2, "e66e32e1"],
  [50, "random", 7, "e5c4e3fc"],
  [50, "random", 50, "3eee7946"],
  [50, "appended", 2, "b8859404"],
  [50, "appended", 7, "41c9d83e"],
  [50, "appended", 50, "345d1191"],
  [50, "descending", 2, "5ed5726d"],
  [50, "descending", 7, "21273d55"],
  [50, "descending", 50, "e00967c2"],
  [50, "organ", 2, "85c29f7a"],
  [50, "organ", 7, "82545fa9"],
  [50, "organ", 50, "184b56f4"],
  [51, "random", 2, "e22e81f6"],
  [51, "random", 7, "3d64e3c1"],
  [51, "random", 51, "f0cf9bd9"],
  [51, "appended", 2, "24b7324f"],
  [51, "appended", 7, "3fe19de9"],
  [51, "appended", 51, "506a2478"],
  [51, "descending", 2, "5b35d03c"],
  [51, "descending", 7, "32959e55"],
  [51, "descending", 51, "34de1078"],
  [51, "organ", 2, "cae241e8"],
  [51, "organ", 7, "1101e7a1"],
  [51, "organ", 51, "c235700a"],
  [100, "random", 2, "da9435ed"],
  [100, "random", 7, "17348a4b"],
  [100, "random", 100, "055865e0"],
  [100, "appended", 2, "e20fa454"],
  [100, "appended", 7, "cd80454f"],
  [100, "appended", 100, "e71b7bbd"],
  [100, "descending", 2, "342e4636"],
  [100, "descending", 7, "9e1ccca9"],
  [100, "descending", 100, "72ac45ec"],
  [100, "organ", 2, "5e9540bd"],
  [100, "organ", 7, "c8ebd09f"],
  [100, "organ", 100, "8f2b7399"],
  [255, "random", 2, "dbb0223b"],
  [255, "random", 7, "14ec33d5"],
  [255, "random", 255, "23b02482"],
  [255, "appended", 2, "b1c84892"],
  [255, "appended", 7, "f40761a2"],
  [255, "appended", 255, "34798b8e"],
  [255, "descending", 2, "f1a1c08b"],
  [255, "descending", 7, "1a97f395"],
  [255, "descending", 255, "44a0e6e9"],
  [255, "organ", 2, "1ed8b654"],
  [255, "organ", 7, "b102f613"],
  [255, "organ", 255, "b9c3f62a"],
  [256, "random", 2, "0147d3e7"],
  [256, "random", 7, "c91284ff"],
  [256, "random", 256, "5677de65"],
  [256, "appended", 2, "86785f7c"],
  [256, "appended", 7, "7a639c7c"],
  [256, "appended", 256, "8eea828f"],
  [256, "descending", 2, "a6e2bdf9"],
  [256, "descending", 7, "ef33b119"],
  [256, "descending", 256, "c3857a00"],
  [256, "organ", 2, "049a6967"],
  [256, "organ", 7, "5ece0905"],
  [256, "organ", 256, "905d2708"],
  [1000, "random", 2, "19b6009f"],
  [1000, "random", 7, "48cf7e8b"],
  [1000, "random", 1000, "4b07600b"],
  [1000, "appended", 2, "8a7fe986"],
  [1000, "appended", 7, "e5986757"],
  [1000, "appended", 1000, "afdbfad2"],
  [1000, "descending", 2, "a15ddca4"],
  [1000, "descending", 7, "0c934f97"],
  [1000, "descending", 1000, "151c007d"],
  [1000, "organ", 2, "d1751401"],
  [1000, "organ", 7, "bf3682d0"],
  [1000, "organ", 1000, "5084275c"],
  [5000, "random", 2, "b5e554a7"],
  [5000, "random", 7, "eaa6f8af"],
  [5000, "random", 5000, "5a4ef1fb"],
  [5000, "appended", 2, "4cddb012"],
  [5000, "appended", 7, "eee99cab"],
  [5000, "appended", 5000, "02073fa0"],
  [5000, "descending", 2, "f49b579d"],
  [5000, "descending", 7, "e32b9c68"],
  [5000, "descending", 5000, "833c8339"],
  [5000, "organ", 2, "d98a476f"],
  [5000, "organ", 7, "906859ea"],
  [5000, "organ", 5000, "93f83259"],
];

/**
 * The same, and the number of comparisons, against an adversary that makes pivots bad ones (McIlroy 1999): some of these
 * lists end in a heap sort.
 */
const AGAINST_ADVERSARY: [size: number, crc: string, comparisons: number][] = [
  [20, "698c41f4", 68],
  [36, "7e2ba268", 304],
  [40, "7cc4976e", 339],
  [45, "ff7121c8", 421],
  [100, "e079373e", 941],
  [1000, "b92bbba8", 7202],
  [4000, "b71e98ba", 28246],
];

test.each(FROM_GO)("%i elements, %s, of %i keys end where Go puts them", (size, shape, distinctKeys, crc) => {
  const sorted = goSort(list(size, shape, distinctKeys), (a, b) => a.key < b.key);
  expect(digest(sorted.map(({ place }) => place))).toBe(crc);
});

test.each(AGAINST_ADVERSARY)(
  "%i elements are sorted as Go sorts them, whatever they turn out to be",
  (size, crc, count) => {
    const values = new Array<number>(size).fill(size);
    let next = 0;
    let candidate = 0;
    let comparisons = 0;
    const less = (a: number, b: number) => {
      comparisons++;
      if (values[a] === size && values[b] === size) values[a === candidate ? a : b] = next++;
      if (values[a] === size) candidate = a;
      else if (values[b] === size) candidate = b;
      return values[a] < values[b];
    };
    const sorted = goSort(Array.from({ length: size }, (_, place) => place), less);
    expect([digest(sorted), comparisons]).toEqual([crc, count]);
  },
);

function digest(places: number[]): string {
  const bytes = Uint8Array.from(places.flatMap((place) => [place & 0xff, place >> 8]));
  return (updateCrc32c(0, bytes) >>> 0).toString(16).padStart(8, "0");
}

function list(size: number, shape: string, distinctKeys: number): Item[] {
  let seed = size * 31 + distinctKeys;
  return Array.from({ length: size }, (_, place) => {
    seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
    const random = (seed >>> 8) % distinctKeys;
    const rising = Math.floor(place * distinctKeys / size);
    const falling = Math.floor((size - place) * distinctKeys / size);
    let key = random;
    if (shape === "appended") key = place === size - 1 ? random : rising;
    if (shape === "descending") key = falling;
    if (shape === "organ") key = place < Math.floor(size / 2) ? rising : falling;
    return { key, place };
  });
}
