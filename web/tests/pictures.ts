// PNG pictures.

import { writeFileSync } from 'node:fs'
import { crc32, deflateSync } from 'node:zlib'

const SIGNATURE = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a])

export type Colour = [red: number, green: number, blue: number]

/** Build a PNG of this size and colour, such as `[180, 40, 40]`. */
export function buildPng(colour: Colour, width = 64, height = 80): Buffer {
  return drawPng(width, height, () => colour)
}

/** Build a PNG of this size with the colour that `getColour` returns for each pixel. */
export function drawPng(width: number, height: number, getColour: (x: number, y: number) => Colour): Buffer {
  const header = Buffer.alloc(13)
  header.writeUInt32BE(width, 0)
  header.writeUInt32BE(height, 4)
  // 8 bits a channel, RGB.
  header.set([8, 2], 8)
  const lines = Array.from({ length: height }, (_, y) => [
    0,
    ...Array.from({ length: width }, (_, x) => getColour(x, y)).flat(),
  ])
  const pixels = deflateSync(Buffer.from(lines.flat()))
  return Buffer.concat([SIGNATURE, chunk('IHDR', header), chunk('IDAT', pixels), chunk('IEND', Buffer.alloc(0))])
}

export function writePng(path: string, colour: Colour): string {
  writeFileSync(path, buildPng(colour))
  return path
}

function chunk(kind: string, data: Buffer): Buffer {
  const body = Buffer.concat([Buffer.from(kind), data])
  const [length, sum] = [Buffer.alloc(4), Buffer.alloc(4)]
  length.writeUInt32BE(data.length)
  sum.writeUInt32BE(crc32(body))
  return Buffer.concat([length, body, sum])
}
