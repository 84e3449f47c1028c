{{/* What every pod of ours has beside its container.
     usage: dict "root" $ "component" "router" "settings" .Values.router "token" (whether it talks to the API server) */}}
{{- define "headgate.podSettings" -}}
automountServiceAccountToken: {{ default false .token }}
enableServiceLinks: false
securityContext:
  runAsNonRoot: true
  runAsUser: 65532
  runAsGroup: 65532
  fsGroup: 65532
  seccompProfile: {type: RuntimeDefault}
{{- with .root.Values.imagePullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
{{- with .settings.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .settings.nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .settings.tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .settings.affinity }}
affinity: {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* Over nodes and zones, as far as possible, unless the values say otherwise. usage: as above */}}
{{- define "headgate.spread" -}}
topologySpreadConstraints:
{{- if .settings.topologySpreadConstraints }}
  {{- toYaml .settings.topologySpreadConstraints | nindent 2 }}
{{- else }}
{{- $root := . }}
{{- range list "kubernetes.io/hostname" "topology.kubernetes.io/zone" }}
  - topologyKey: {{ . }}
    maxSkew: 1
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels: {{- include "headgate.selectorLabels" $root | nindent 8 }}
{{- end }}
{{- end }}
{{- end }}

{{- define "headgate.containerSecurity" -}}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: {drop: [ALL]}
{{- end }}

{{/* The files a program finds: its settings, its TLS files, room in /tmp. usage: as above */}}
{{- define "headgate.volumeMounts" -}}
volumeMounts:
  - {name: config, mountPath: /etc/headgate/config, readOnly: true}
  - {name: tmp, mountPath: /tmp}
  {{- if include "headgate.tlsSecret" . }}
  - {name: tls, mountPath: /etc/headgate/tls, readOnly: true}
  {{- end }}
{{- end }}
{{- define "headgate.volumes" -}}
volumes:
  - name: config
    configMap: {name: {{ include "headgate.fullname" .root }}-{{ .component }}}
  - name: tmp
    emptyDir: {}
  {{- with include "headgate.tlsSecret" . }}
  - name: tls
    secret: {secretName: {{ . }}, defaultMode: 0440}
  {{- end }}
{{- end }}

{{/* Who the process is, where Redis is, and what the values add. usage: as above */}}
{{- define "headgate.env" -}}
env:
  - name: POD_NAME
    valueFrom: {fieldRef: {fieldPath: metadata.name}}
  - name: POD_NAMESPACE
    valueFrom: {fieldRef: {fieldPath: metadata.namespace}}
  {{- include "headgate.redisEnv" .root | nindent 2 }}
  {{- with .settings.extraEnv }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end }}
{{/* Whether the release has a Redis of its own. */}}
{{- define "headgate.ownRedis" -}}
{{- if and .Values.redis.enabled (not .Values.redis.external.url) }}true{{ end -}}
{{- end }}
{{- define "headgate.redisEnv" -}}
{{- $redis := .Values.redis -}}
{{- $stem := printf "%s-redis" (include "headgate.fullname" .) -}}
{{- $url := $redis.external.url -}}
{{- $secret := $redis.external.existingSecret -}}
{{- $key := $redis.external.existingSecretKey -}}
{{- if include "headgate.ownRedis" . -}}
{{- $url = printf "redis://%s:6379/0" $stem -}}
{{- $secret = default $stem $redis.existingSecret -}}
{{- $key = "password" -}}
{{- end -}}
{{- if $url }}
- {name: HEADGATE_REDIS_URL, value: {{ $url | quote }}}
{{- if $secret }}
- name: HEADGATE_REDIS_PASSWORD
  valueFrom: {secretKeyRef: {name: {{ $secret }}, key: {{ $key }}}}
{{- end }}
{{- end }}
{{- end }}
