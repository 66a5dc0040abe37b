/** What a part holds follows from its name, so that whoever reads it knows what it should be: any number of bytes. */
import { createCipheriv, hash } from 'node:crypto'

export function plain(id: string, part: string, length: number): Buffer {
  const key = hash('sha256', `${id}.${part}`, 'buffer')
  return createCipheriv('aes-256-ctr', key, Buffer.alloc(16)).update(Buffer.alloc(length))
}
