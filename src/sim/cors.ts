/**
 * Who may ask: Origin by the rules of OLLAMA_ORIGINS' built-in list, then Host, which is looked at only by a
 * node that listens on a loopback address.
 */
import { BlockList, isIP } from 'node:net'
import { hostname, networkInterfaces } from 'node:os'
import type { Exchange } from './exchange.ts'

const ORIGINS =
  /^(?:https?:\/\/(?:localhost|127\.0\.0\.1|0\.0\.0\.0)(?::.*)?|(?:app|file|tauri|vscode-webview|vscode-file):\/\/.*)$/

const ALLOWED_HEADERS =
  'Authorization,Content-Type,User-Agent,Accept,X-Requested-With,Openai-Beta,X-Stainless-Arch,X-Stainless-Async,X-Stainless-Custom-Poll-Interval,X-Stainless-Helper-Method,X-Stainless-Lang,X-Stainless-Os,X-Stainless-Package-Version,X-Stainless-Poll-Helper,X-Stainless-Retry-Count,X-Stainless-Runtime,X-Stainless-Runtime-Version,X-Stainless-Timeout'

/** Answers whether the request may go on; if not, it has had its reply. */
export function letIn(x: Exchange, boundToLoopback: boolean): boolean {
  const { headers, method } = x.request
  const { origin, host = '' } = headers
  if (origin !== undefined && origin !== '' && origin !== `http://${host}` && origin !== `https://${host}`) {
    if (!ORIGINS.test(origin)) return refuse(x, 403)
    x.headers.push('Access-Control-Allow-Origin', origin, 'Vary', 'Origin')
    if (method === 'OPTIONS') {
      x.headers.push(
        'Access-Control-Allow-Methods',
        'GET,POST,PUT,PATCH,DELETE,HEAD,OPTIONS',
        'Access-Control-Allow-Headers',
        ALLOWED_HEADERS,
        'Access-Control-Max-Age',
        '43200',
        'Vary',
        'Access-Control-Request-Method',
        'Vary',
        'Access-Control-Request-Headers',
      )
      return refuse(x, 204)
    }
  }
  if (!boundToLoopback) return true
  const bare = withoutPort(host)
  if (isIP(bare) !== 0 && nearby(bare)) return true
  if (!isLocalName(bare)) return refuse(x, 403)
  return method === 'OPTIONS' ? refuse(x, 204) : true
}

export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || host.startsWith('127.')
}

function refuse(x: Exchange, status: number): false {
  x.reply(status)
  return false
}

function withoutPort(host: string): string {
  const bracketed = /^\[([^\]]*)\](?::\d*)?$/.exec(host)
  if (bracketed !== null) return bracketed[1]!
  return host.replace(/:\d*$/, '')
}

function isLocalName(host: string): boolean {
  const name = host.toLowerCase()
  return (
    name === '' ||
    name === 'localhost' ||
    name === hostname().toLowerCase() ||
    ['.localhost', '.local', '.internal'].some(ending => name.endsWith(ending))
  )
}

const NEARBY = new BlockList()
for (const [net, bits] of [
  ['127.0.0.0', 8],
  ['10.0.0.0', 8],
  ['172.16.0.0', 12],
  ['192.168.0.0', 16],
] as const)
  NEARBY.addSubnet(net, bits)
NEARBY.addAddress('0.0.0.0')
NEARBY.addSubnet('fc00::', 7, 'ipv6')
NEARBY.addAddress('::1', 'ipv6')
NEARBY.addAddress('::', 'ipv6')

/** Loopback, private, unspecified, or one of this machine's own. */
function nearby(address: string): boolean {
  if (address === '127.0.0.1') return true
  if (NEARBY.check(address, isIP(address) === 6 ? 'ipv6' : 'ipv4')) return true
  return Object.values(networkInterfaces()).some(list => list?.some(own => own.address === address))
}
