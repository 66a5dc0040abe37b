/** The command line as somebody at a terminal has it: what they type, what they read, how it ends. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import type { Test } from 'tap'

const MAIN = fileURLToPath(new URL('../../src/cli/main.ts', import.meta.url))
/** The verbs are started a hundred times and more: compiled once, each start takes half as long. */
const COMPILED = fileURLToPath(new URL('../../node_modules/.cache/quipu-cli', import.meta.url))

export interface Outcome {
  readonly code: number | null
  readonly out: string
  readonly err: string
}

export interface Running {
  readonly child: ChildProcess
  /** What stood on stdout and stderr so far. */
  readonly out: () => string
  readonly err: () => string
  /** Resolves when stdout (or stderr) holds the text. */
  saw(text: string | RegExp, where?: 'out' | 'err'): Promise<string>
  readonly ended: Promise<Outcome>
}

export type Env = Readonly<Record<string, string>>

/** Nothing of the machine's own settings gets in, and no Ollama of its own is found. */
const CLEAN: Env = {
  PATH: process.env.PATH ?? '',
  TZ: 'UTC',
  OLLAMA_HOST: '127.0.0.1:1',
  NODE_COMPILE_CACHE: COMPILED,
}

export function start(t: Test, args: readonly string[], env: Env = {}): Running {
  const child = spawn(process.execPath, [MAIN, ...args], { env: { ...CLEAN, ...env } })
  const said = { out: '', err: '' }
  for (const where of ['out', 'err'] as const) {
    child[`std${where}`].setEncoding('utf8').on('data', text => {
      said[where] += text
    })
  }
  const ended = once(child, 'close').then(([code]) => ({ code, ...said }))
  t.teardown(() => child.kill('SIGKILL'))
  return {
    child,
    out: () => said.out,
    err: () => said.err,
    ended,
    saw: (text, where = 'out') =>
      new Promise((resolve, reject) => {
        const look = (): void => {
          const found = typeof text === 'string' ? said[where].includes(text) : text.test(said[where])
          if (!found) return
          child[`std${where}`]!.off('data', look)
          resolve(said[where])
        }
        child[`std${where}`]!.on('data', look)
        ended.then(({ code }) => reject(new Error(`ended with ${code}, and never said ${text}: ${said.err}`)))
        look()
      }),
  }
}

export function run(t: Test, args: readonly string[], env: Env = {}): Promise<Outcome> {
  return start(t, args, env).ended
}
