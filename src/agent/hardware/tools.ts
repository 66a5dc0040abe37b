/**
 * Runs other people's programs: nvidia-smi, rocm-smi, system_profiler. Without a shell, with arguments and an environment
 * that nobody outside has a say in, for so long and for so much output. Each is run once at a time, and counts as
 * running until the kernel says that it is over: what hangs in a driver cannot be killed, and a second run would hang
 * beside it.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { access, constants } from 'node:fs/promises'
import { delimiter, join } from 'node:path'
import { Failure } from '../../failure.ts'

export interface Tools {
  /** Where the program is; undefined where it is not installed. */
  find(tool: string): Promise<string | undefined>
  /**
   * What it printed, and how it ended. Rejects with `hardware.tool` where it did not come to that: it is not there, was
   * killed, printed too much, or its last run is not over yet. When the signal aborts, it is killed.
   */
  run(tool: string, args: readonly string[], signal: AbortSignal): Promise<Printed>
  /** Runs that are not over. */
  readonly running: number
}

export interface Printed {
  readonly stdout: string
  readonly stderr: string
  readonly exitCode: number
}

/** Of a machine with 16 GPUs, the longest list is 100 KB. */
const OUTPUT_BYTES_MAX = 2 * 1_024 * 1_024

/** Where these programs are. What PATH says is not asked: whoever starts the agent may not choose what it runs. */
const FOLDERS: readonly string[] =
  process.platform === 'win32'
    ? ['C:\\Windows\\System32', 'C:\\Program Files\\NVIDIA Corporation\\NVSMI']
    : [
        ...['/usr/bin', '/bin', '/usr/sbin', '/sbin', '/usr/local/bin', '/usr/local/sbin'],
        ...['/opt/rocm/bin', '/usr/lib/wsl/lib', '/run/current-system/sw/bin', '/usr/local/nvidia/bin'],
      ]

export function openTools({ folders = FOLDERS }: { folders?: readonly string[] } = {}): Tools {
  /** Programs with a run that is not over. */
  const busy = new Set<string>()
  const env =
    process.platform === 'win32'
      ? { SystemRoot: 'C:\\Windows', PATH: folders.join(delimiter) }
      : { PATH: folders.join(delimiter), LC_ALL: 'C', HOME: '/', LD_LIBRARY_PATH: '/usr/local/nvidia/lib64' }

  async function find(tool: string): Promise<string | undefined> {
    const file = process.platform === 'win32' ? `${tool}.exe` : tool
    for (const folder of folders) {
      const path = join(folder, file)
      if (
        await access(path, constants.X_OK).then(
          () => true,
          () => false,
        )
      )
        return path
    }
    return undefined
  }

  return {
    find,
    get running() {
      return busy.size
    },
    async run(tool, args, signal) {
      const path = await find(tool)
      if (path === undefined) throw trouble(`${tool} is not installed`)
      if (busy.has(path)) throw trouble(`the last run of ${tool} is not over`)
      signal.throwIfAborted()
      busy.add(path)
      return await new Promise<Printed>((resolve, reject) => {
        // In a group of its own, so that what it started itself is killed with it.
        const detached = process.platform !== 'win32'
        let child: ChildProcess
        try {
          child = spawn(path, args, {
            env,
            cwd: '/',
            detached,
            windowsHide: true,
            stdio: ['ignore', 'pipe', 'pipe'],
          })
        } catch (error) {
          // No memory for another process.
          busy.delete(path)
          return reject(trouble(`${tool} cannot be run: ${(error as Error).message}`, error))
        }
        const printed: Record<'stdout' | 'stderr', Buffer[]> = { stdout: [], stderr: [] }
        let bytes = 0
        const kill = (): void => {
          try {
            if (detached && child.pid !== undefined) process.kill(-child.pid, 'SIGKILL')
            else child.kill('SIGKILL')
          } catch {
            // It is over already.
          }
        }
        const give = (why: string, cause?: unknown): void => {
          signal.removeEventListener('abort', stop)
          kill()
          child.stdout?.destroy()
          child.stderr?.destroy()
          reject(trouble(`${tool} ${why}`, cause))
        }
        const stop = (): void => give('was killed: it took too long')
        signal.addEventListener('abort', stop, { once: true })
        // Where there were no file descriptors for them there are none, and an error comes.
        for (const stream of ['stdout', 'stderr'] as const)
          child[stream]?.on('data', (chunk: Buffer) => {
            bytes += chunk.length
            if (bytes > OUTPUT_BYTES_MAX) give(`prints more than ${OUTPUT_BYTES_MAX} bytes`)
            else printed[stream].push(chunk)
          })
        child.on('error', error => {
          if (child.pid === undefined) busy.delete(path)
          give(`cannot be run: ${error.message}`, error)
        })
        child.on('exit', () => busy.delete(path))
        child.on('close', (exitCode, by) => {
          signal.removeEventListener('abort', stop)
          if (exitCode === null) reject(trouble(`${tool} was ended by ${by}`))
          else
            resolve({
              stdout: Buffer.concat(printed.stdout).toString('utf8'),
              stderr: Buffer.concat(printed.stderr).toString('utf8'),
              exitCode,
            })
        })
      })
    },
  }
}

function trouble(message: string, cause?: unknown): Failure {
  return new Failure('hardware.tool', message, { retryable: true, cause })
}
