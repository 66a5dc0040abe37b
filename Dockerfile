# The house in a container. docs/operating.md says how to run it; compose.yaml does, with two nodes.

FROM node:24 AS build
WORKDIR /app
COPY package.json package-lock.json ./
# No package's install script is needed: LevelDB comes with its binaries, and Node 24 is here already.
RUN npm ci --ignore-scripts --no-audit --no-fund
COPY tsconfig.json ./
COPY machines machines
COPY src src
# Without `prebuild`, which would set up a checkout for tests.
RUN npm run build --ignore-scripts \
 && npm prune --omit=dev --ignore-scripts --no-audit --no-fund \
 && chmod +x dist/src/cli/main.js

FROM node:24-slim
WORKDIR /app
COPY --from=build /app/package.json ./
COPY --from=build /app/node_modules node_modules
COPY --from=build /app/dist dist
COPY LICENSE ./
RUN ln -s /app/dist/src/cli/main.js /usr/local/bin/quipu \
 && mkdir /data \
 && chown node:node /data
ENV NODE_ENV=production
# The image's own user, 1000. A folder mounted over /data must be writable for it.
USER node
VOLUME /data
EXPOSE 11435
# Alive, not ready: a house without a node that is up is to be looked at, not to be replaced.
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s --retries=3 \
  CMD ["node", "-e", "fetch(`http://127.0.0.1:${process.env.QUIPU_PORT || 11435}/healthz`).then(r => process.exit(r.ok ? 0 : 1), () => process.exit(1))"]
# Further flags may follow: docker run … quipu --node http://gpu-a:11434
ENTRYPOINT ["quipu", "serve", "--host", "0.0.0.0", "--data", "/data"]
