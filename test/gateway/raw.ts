/** A client that writes what it likes, byte by byte, and sees how a connection ends. */
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'

export interface Told {
  readonly status: number
  /** As written. */
  readonly head: string
  readonly body: string
}

export interface Client {
  readonly socket: Socket
  /** Everything that came so far. */
  readonly text: string
  readonly closed: boolean
  write(text: string | Buffer): void
  /** Resolves when what came contains this. */
  until(words: string): Promise<void>
  /** Resolves with everything when the other side is done. */
  end(): Promise<string>
}

export async function dial(url: string): Promise<Client> {
  const { hostname, port } = new URL(url)
  const socket = connect({ port: Number(port), host: hostname.replace(/^\[|\]$/g, ''), allowHalfOpen: false })
  await once(socket, 'connect')
  let text = ''
  let closed = false
  const over = new Promise<void>(resolve => socket.once('close', () => resolve()))
  socket.setEncoding('latin1')
  socket.on('data', chunk => {
    text += chunk
  })
  socket.on('error', () => {})
  socket.on('close', () => {
    closed = true
  })
  return {
    socket,
    get text() {
      return text
    },
    get closed() {
      return closed
    },
    write: words => void socket.write(words),
    async until(words) {
      while (!text.includes(words)) {
        if (closed) throw new Error(`closed before ${JSON.stringify(words)} came: ${text}`)
        await Promise.race([new Promise(resolve => socket.once('data', resolve)), over])
      }
    },
    async end() {
      await over
      return text
    },
  }
}

/** One request with lines of headers, on a connection of its own that is closed after it. */
export async function say(url: string, lines: readonly string[], body: string | Buffer = ''): Promise<Told> {
  const client = await dial(url)
  client.write(`${[...lines, 'Connection: close'].join('\r\n')}\r\n\r\n`)
  if (body.length > 0) client.write(body)
  return parsed(await client.end())
}

export function parsed(text: string): Told {
  const cut = text.indexOf('\r\n\r\n')
  const head = text.slice(0, cut)
  return { status: Number(/^HTTP\/1\.1 (\d{3})/.exec(head)?.[1] ?? 0), head, body: text.slice(cut + 4) }
}
