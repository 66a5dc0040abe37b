/** Check 75: the real `ollama` command, every verb of it, with OLLAMA_HOST set to the server under test. */
import { execFile } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { stripVTControlCharacters } from 'node:util'
import type { Checks } from '../check.ts'
import { holds, Skip, same } from '../expect.ts'
import { tinyGguf } from '../gguf.ts'
import { displayName, type Probe, throwaway } from '../probe.ts'

export const commands: Checks = {
  75: {
    promise: 'the real command works: list, ps, show, cp, rm, stop, run, create, pull, push',
    async run(server) {
      if (server.cli === undefined) throw new Skip('no ollama binary was given (--cli)')
      if (server.key !== undefined) throw new Skip('the command has no way to send a key')
      const home = await mkdtemp(join(tmpdir(), 'conformance-'))
      const made = [throwaway(), throwaway(), throwaway()] as const
      try {
        await verbs(server, home, made)
      } finally {
        for (const name of made) await server.remove(name)
        if (server.registry) await server.remove(server.pull)
        await rm(home, { recursive: true })
      }
    },
  },
}

async function verbs(server: Probe, home: string, [copy, derived, file]: readonly [string, string, string]) {
  const { model, embed, absent } = server
  const ollama = (...args: readonly string[]) => command(server, home, args)
  /** The command succeeds, and its output (and progress, on stderr) look like this. */
  const works = async (args: readonly string[], out?: RegExp, progress?: RegExp) => {
    const said = await ollama(...args)
    same(`ollama ${args.join(' ')}: exit code (${last(said.stderr)})`, said.code, 0)
    if (out) holds(`ollama ${args.join(' ')}: output`, said.stdout, out)
    if (progress) holds(`ollama ${args.join(' ')}: progress`, said.stderr, progress)
  }
  /** The command fails with code 1, and its last line is this error. */
  const fails = async (args: readonly string[], error: RegExp) => {
    const said = await ollama(...args)
    same(`ollama ${args.join(' ')}: exit code`, said.code, 1)
    holds(`ollama ${args.join(' ')}: error`, last(said.stderr), error)
  }
  const row = (name: string, rest: string) =>
    new RegExp(`^${literal(displayName(name))}\\s+[0-9a-f]{12}\\s+${rest}`, 'm')

  await works(['-v'], /^ollama version is \S+/)
  await works(['list'], /^NAME\s+ID\s+SIZE\s+MODIFIED\s*\n/)
  await works(['list'], row(model, String.raw`[\d.]+ [KMGT]?B\s+\S.*$`))
  await works(
    ['show', model],
    /^ {2}Model\n {4}architecture\s+\S+[\s\S]*\n {2}Capabilities\n[\s\S]*\bcompletion\b/,
  )
  await fails(['show', absent], new RegExp(`Error: model '${literal(displayName(absent))}' not found$`))

  await works(['run', embed, 'hello'], /^\[-?[\d.e-]+(,-?[\d.e-]+)+\]\s*$/)
  // Last of the two, for a server that holds one model at a time.
  await works(['run', model, 'hello'], /\S/)
  await works(['ps'], /^NAME\s+ID\s+SIZE\s+PROCESSOR\s+CONTEXT\s+UNTIL\s*\n/)
  await works(['ps'], row(model, String.raw`[\d.]+ [KMGT]?B\s+\d+%\S*(?: \S+)?\s+\d+\s+\S.*$`))
  await works(['stop', model], /^$/)
  await fails(['stop', absent], new RegExp(`Error: couldn't find model "${literal(absent)}" to stop$`))

  await works(['cp', model, copy], new RegExp(`^copied '${literal(model)}' to '${copy}'\\s*$`))
  await fails(['cp', absent, copy], new RegExp(`Error: model "${literal(absent)}" not found$`))
  await works(['rm', copy], new RegExp(`^deleted '${copy}'\\s*$`))
  await fails(['rm', copy], new RegExp(`Error: model '${copy}' not found$`))

  await writeFile(join(home, 'Modelfile'), `FROM ${model}\nSYSTEM conformance\n`)
  await works(['create', derived, '-f', join(home, 'Modelfile')], undefined, /\bsuccess\b/)
  await works(['show', derived, '--modelfile'], /^SYSTEM conformance$/m)
  await works(['rm', derived], new RegExp(`^deleted '${derived}'\\s*$`))
  // Its blob goes up in chunks, without a length, called JSON.
  await writeFile(join(home, 'tiny.gguf'), tinyGguf())
  await writeFile(join(home, 'Modelfile'), `FROM ${join(home, 'tiny.gguf')}\n`)
  await works(['create', file, '-f', join(home, 'Modelfile')], undefined, /\bsuccess\b/)
  await works(['show', file], /^ {4}architecture\s+\S+/m)
  await works(['rm', file], new RegExp(`^deleted '${file}'\\s*$`))

  // A name with a registry in it: for one without, the command first asks who is signed in at ollama.com.
  await fails(['push', `127.0.0.1:1/library/${absent}`], /Error: open .+: no such file or directory$/)
  if (!server.registry) return
  await fails(['pull', absent], /Error: pull model manifest: file does not exist$/)
  await works(['pull', server.pull], undefined, /pulling manifest[\s\S]*\bsuccess\b/)
}

interface Said {
  readonly code: number | string
  readonly stdout: string
  readonly stderr: string
}

function command(server: Probe, home: string, args: readonly string[]): Promise<Said> {
  const { promise, resolve } = Promise.withResolvers<Said>()
  const child = execFile(
    server.cli!,
    args,
    {
      signal: server.signal,
      env: { PATH: process.env['PATH'], HOME: home, OLLAMA_HOST: server.url, TERM: 'dumb' },
    },
    (error, stdout, stderr) =>
      resolve({
        code: error ? (error.code ?? error.message) : 0,
        stdout: stripVTControlCharacters(stdout),
        stderr: stripVTControlCharacters(stderr),
      }),
  )
  child.stdin?.end()
  return promise
}

function last(text: string): string {
  return text.trimEnd().split('\n').at(-1) ?? ''
}

/** A name as a regular expression: of the characters names may have, only the dot means something there. */
function literal(name: string): string {
  return name.replaceAll('.', '\\.')
}
