/**
 * `quipu top`: a running house, live. This is the loop around what is pure in top/: it looks at the house every so often,
 * listens to keys, and writes frames.
 *
 *    looking ──picture──▶ shown ──interval, or a deed──▶ looking …      a house that is away is looked for on and on
 *       any of them ──q, Ctrl-C, SIGTERM, a bug──▶ the terminal as it was
 */
import { writeSync } from 'node:fs'
import { emitKeypressEvents, type Key } from 'node:readline'
import { type Clock, systemClock, type Timer } from '../clock.ts'
import { durationMs, terminalOf } from '../config.ts'
import { Failure } from '../failure.ts'
import type { NodeInFull } from '../gateway/schema/nodes.ts'
import type { Told } from '../gateway/schema/words.ts'
import { ASCII, type Bars, UNICODE } from './bars.ts'
import { type Client, clientOf } from './client.ts'
import { turned } from './nodes.ts'
import { houseOptions } from './settings.ts'
import { interruption } from './signals.ts'
import { plain, say, sayJson } from './terminal.ts'
import { frame, pageOf, type Size, sheet } from './top/frame.ts'
import { press } from './top/keys.ts'
import { look } from './top/look.ts'
import { chosenOf, FIRST_VIEW, type Picture, type View } from './top/picture.ts'
import { between, CLEAR, CLOSE, OPEN, type Painted, paint } from './top/screen.ts'
import { type Given, jsonOption, misused, textOf, type Verb } from './verb.ts'

const INTERVAL_MS = 2_000
const INTERVAL_MIN_MS = 250
/** How long is said what came of a key. */
const MESSAGE_MS = 5_000
/** Where nobody says how wide the paper is. */
const PAPER_COLUMNS = 120

export const top: Verb = {
  usage: ['top'],
  about:
    'Shows a running house, live: its nodes with bars for GPUs and memory, which models are loaded and how busy they are, ' +
    'what is on its way, who waits. Keys choose a node, drain it and give it work again; ? lists them. Where stdout is ' +
    'no terminal, it prints what there is once, as text. What no agent tells of a node is shown as ?.',
  options: {
    interval: { value: 'TIME', fallback: '2s', sentence: 'how often to look' },
    once: { sentence: 'print what there is, as text, and end' },
    'no-color': { sentence: 'no colours; NO_COLOR does the same' },
    ascii: { sentence: 'no letters beyond ASCII; LANG=C does the same' },
    ...houseOptions,
    ...jsonOption,
  },
  examples: [
    ['quipu top', 'watch the house'],
    ['ssh -t attic quipu top', 'the same from elsewhere'],
    ['quipu top --json | jq .house.requests', 'everything it would show, for programs'],
  ],
  async run(given) {
    const intervalMs = intervalOf(given)
    const { moves, unicode } = terminalOf()
    const bars = unicode && !given.switches.has('ascii') ? UNICODE : ASCII
    const warnings: string[] = []
    const client = clientOf(given, line => void warnings.push(line))
    const once = given.switches.has('once') || given.switches.has('json') || !process.stdout.isTTY
    if (once) {
      const picture = await look(client, systemClock.now())
      if (given.switches.has('json')) return sayJson(picture)
      return print(picture, bars)
    }
    const colours = !given.switches.has('no-color') && process.stdout.hasColors()
    const watch = { client, clock: systemClock, intervalMs, bars, colours }
    await (moves ? new Top(watch).run() : scroll(watch))
  },
}

function intervalOf(given: Given): number {
  const text = textOf(given, 'interval')
  if (text === undefined) return INTERVAL_MS
  let ms: number
  try {
    ms = durationMs(/^\d+(\.\d+)?$/.test(text) ? `${text}s` : text)
  } catch (error) {
    throw misused(`--interval: ${(error as Error).message}`)
  }
  if (ms >= INTERVAL_MIN_MS) return ms
  throw misused(
    `--interval: "${text}" is too often for a house that has work to do; ${INTERVAL_MIN_MS} ms at least`,
  )
}

interface Watch {
  readonly client: Client
  readonly clock: Clock
  readonly intervalMs: number
  readonly bars: Bars
  readonly colours: boolean
}

function print(picture: Picture, bars: Bars): void {
  const { columns } = process.stdout
  for (const line of paint(sheet(picture, columns > 0 ? columns : PAPER_COLUMNS, bars), false))
    say(line.trimEnd())
}

/** A terminal whose cursor stays where it is gets one sheet below the other. */
async function scroll({ client, clock, intervalMs, bars }: Watch): Promise<void> {
  const stop = interruption()
  while (!stop.aborted) {
    try {
      print(await look(client, clock.now()), bars)
    } catch (error) {
      say(plain(silenceOf(error)))
    }
    say()
    await new Promise<void>(resolve => {
      const timer = setTimeout(resolve, intervalMs)
      stop.addEventListener('abort', () => {
        clearTimeout(timer)
        resolve()
      })
    })
  }
}

class Top {
  readonly #watch: Watch
  readonly #ended = Promise.withResolvers<void>()
  #view: View = FIRST_VIEW
  #picture: Picture | undefined
  #shown: Painted = []
  #open = false
  #next: Timer | undefined
  #hush: Timer | undefined
  #looking = false
  /** Somebody did something to a node while the house was being looked at. */
  #again = false

  constructor(watch: Watch) {
    this.#watch = watch
  }

  async run(): Promise<void> {
    const { stdin, stdout } = process
    const close = (): void => this.#close()
    const size = (): void => this.#resized()
    const stop = interruption()
    stop.addEventListener('abort', () => this.#ended.resolve())
    const hangUp = (): void => this.#ended.resolve()
    process.on('SIGHUP', hangUp)
    // A bug is told on their screen, not on ours, which is about to vanish.
    process.on('uncaughtExceptionMonitor', close)
    process.on('exit', close)
    process.on('SIGCONT', () => this.#begin())
    stdout.on('resize', size)
    this.#begin()
    if (stdin.isTTY) {
      emitKeypressEvents(stdin)
      stdin.on('keypress', (letter: string | undefined, key: Key) => this.#pressed(letter, key))
      stdin.on('end', hangUp)
      stdin.resume()
    }
    this.#look()
    // Timers of the clock do not keep a process alive, and there may be no keys to wait for.
    const alive = setInterval(() => {}, 60_000)
    try {
      await this.#ended.promise
    } finally {
      clearInterval(alive)
      this.#next?.cancel()
      this.#hush?.cancel()
      stdout.off('resize', size)
      process.off('uncaughtExceptionMonitor', close)
      stdin.pause()
      close()
    }
    // An answer that is still awaited is of no interest.
    process.exit(0)
  }

  #begin(): void {
    if (this.#open) return
    this.#open = true
    if (process.stdin.isTTY) process.stdin.setRawMode(true)
    this.#shown = []
    process.stdout.write(OPEN)
    this.#draw()
  }

  /** At once and for sure: the process may be about to end. */
  #close(): void {
    if (!this.#open) return
    this.#open = false
    try {
      if (process.stdin.isTTY) process.stdin.setRawMode(false)
      writeSync(process.stdout.fd, CLOSE)
    } catch {
      // The terminal is gone, and with it what was to be put right.
    }
  }

  #size(): Size {
    const { columns, rows } = process.stdout
    return { columns: columns > 0 ? columns : 80, rows: rows > 0 ? rows : 24 }
  }

  #resized(): void {
    if (!this.#open) return
    this.#shown = []
    this.#draw(CLEAR)
  }

  #draw(before = ''): void {
    if (!this.#open) return
    // Who reads slowly gets the newest frame when there is room again, not every one there was.
    if (process.stdout.writableNeedDrain) {
      process.stdout.once('drain', () => this.#draw(before))
      return
    }
    const { bars, colours } = this.#watch
    const painted = paint(frame(this.#picture, this.#view, this.#size(), bars), colours)
    const bytes = before + between(this.#shown, painted)
    this.#shown = painted
    if (bytes !== '') process.stdout.write(bytes)
  }

  async #look(): Promise<void> {
    if (this.#looking) {
      this.#again = true
      return
    }
    const { client, clock, intervalMs } = this.#watch
    this.#looking = true
    this.#next?.cancel()
    try {
      const { details } = this.#view
      const before = this.#picture
      const detailed = details && before !== undefined ? chosenOf(before, this.#view)?.name : undefined
      this.#picture = await look(client, clock.now(), detailed)
      const { silent: _was, ...view } = this.#view
      this.#view = view
    } catch (error) {
      if (!(error instanceof Failure)) throw error
      const since = this.#view.silent?.since ?? clock.now()
      this.#view = { ...this.#view, silent: { since, why: error.message } }
    }
    this.#looking = false
    this.#draw()
    const again = this.#again
    this.#again = false
    this.#next = clock.after(again ? 0 : intervalMs, () => void this.#look())
  }

  #pressed(letter: string | undefined, key: Key): void {
    const name = nameOf(letter, key)
    if (name === 'ctrl-z') return this.#suspend()
    if (name === 'ctrl-l') return this.#resized()
    const { view, deed } = press(this.#view, name, this.#picture, pageOf(this.#size()))
    const opened = view.details && !this.#view.details
    this.#view = view
    if (opened) void this.#look()
    if (deed?.do === 'quit') return this.#ended.resolve()
    if (deed !== undefined) void this.#turn(deed)
    this.#draw()
  }

  #suspend(): void {
    if (process.platform === 'win32') return
    this.#close()
    process.kill(process.pid, 'SIGSTOP')
  }

  async #turn({ do: deed, node }: { readonly do: 'drain' | 'resume'; readonly node: string }): Promise<void> {
    const path = `/quipu/nodes/${encodeURIComponent(node)}/${deed}`
    try {
      const after = await this.#watch.client.ask<Told<typeof NodeInFull>>(path, { method: 'POST' })
      this.#tell(turned(deed, node, after), false)
    } catch (error) {
      if (!(error instanceof Failure)) throw error
      this.#tell(error.message, true)
    }
    void this.#look()
  }

  #tell(text: string, bad: boolean): void {
    this.#view = { ...this.#view, message: { text: plain(text), bad } }
    this.#draw()
    this.#hush?.cancel()
    this.#hush = this.#watch.clock.after(MESSAGE_MS, () => {
      const { message: _said, ...view } = this.#view
      this.#view = view
      this.#draw()
    })
  }
}

function silenceOf(error: unknown): string {
  if (error instanceof Failure) return `quipu: ${error.message}`
  throw error
}

/** `ctrl-c`, `shift-tab`, `k`, `?`: readline has no name for most signs, and tells G from g by shift alone. */
function nameOf(letter: string | undefined, { name, ctrl, shift }: Key): string {
  const word = name ?? letter ?? ''
  return `${ctrl ? 'ctrl-' : ''}${shift ? 'shift-' : ''}${word}`
}
