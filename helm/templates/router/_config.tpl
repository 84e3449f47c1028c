{{/* The router's settings: what users set, and over it what only the chart can know. */}}
{{- define "headgate.router.config" -}}
{{- $controlplane := printf "%s-controlplane.%s.svc:50052" (include "headgate.fullname" .) .Release.Namespace -}}
{{- $own := dict
    "topology" (dict "address" $controlplane)
    "http" (dict "host" "0.0.0.0" "port" 8080)
    "grpc" (dict "host" "0.0.0.0" "port" 50051)
-}}
{{- if include "headgate.tlsSecret" (dict "root" . "component" "router") -}}
{{- $_ := set $own "tls" (dict "folder" "/etc/headgate/tls") -}}
{{- end -}}
{{- mergeOverwrite (deepCopy .Values.router.config) $own | toYaml -}}
{{- end }}
