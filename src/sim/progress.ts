/** Long jobs tell how far they are: NDJSON status lines, or with `stream: false` only the last one. */
import { Gone } from './client.ts'
import { Fault } from './dialect.ts'
import { type Exchange, JSON_PLAIN, NDJSON } from './exchange.ts'
import { goJson } from './gojson.ts'

export interface Progress {
  readonly status: string
  readonly digest?: string
  readonly total?: number | undefined
  readonly completed?: number | undefined
}

export type Tell = (progress: Progress) => void

/** A fault before the first line has a status of its own; after it, it is the last line of a 200. */
export async function reportProgress(x: Exchange, streams: boolean, run: (tell: Tell) => Promise<void>) {
  let latest: Progress | undefined
  const tell: Tell = progress => {
    latest = progress
    if (!streams || x.gone) return
    if (!x.opened) x.open(200, NDJSON)
    x.send(`${goJson(progress)}\n`)
  }
  try {
    await run(tell)
    if (streams) x.end()
    else x.reply(200, JSON_PLAIN, goJson(latest))
  } catch (error) {
    if (error instanceof Gone || x.gone) return
    if (!(error instanceof Fault)) throw error
    const text = goJson({ error: error.message })
    if (!streams) x.reply(error.status, JSON_PLAIN, text)
    else if (!x.opened) x.replyChunked(error.status, JSON_PLAIN, text)
    else {
      x.send(`${text}\n`)
      x.end()
    }
  }
}
