{{- define "aegis.name" -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- end -}}

{{/* Labels of a part: (dict "root" $ "part" "worker"). */}}
{{- define "aegis.labels" -}}
{{ include "aegis.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version }}
{{- end -}}

{{- define "aegis.selector" -}}
app.kubernetes.io/name: aegis
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .part }}
{{- end -}}

{{/* Of a part: only workers need CUDA's libraries, which are gigabytes. */}}
{{- define "aegis.image" -}}
{{- $cuda := and (eq .part "worker") .root.Values.gpu.enabled -}}
{{ .root.Values.image.repository }}:{{ .root.Values.image.tag | default .root.Chart.AppVersion }}{{ ternary "-cuda" "" $cuda }}
{{- end -}}

{{- define "aegis.serviceAccount" -}}
{{ .Values.serviceAccount.name | default (include "aegis.name" .) }}
{{- end -}}

{{/* Stops what could not work, in one line each. */}}
{{- define "aegis.check" -}}
{{- if not .Values.kafka.bootstrapServers -}}
{{- fail "kafka.bootstrapServers is empty: set it to the brokers' host:port" -}}
{{- end -}}
{{- if and .Values.keda.enabled (gt (int .Values.keda.maxReplicas) (int .Values.kafka.partitions)) -}}
{{- fail (printf "keda.maxReplicas (%d) is above kafka.partitions (%d): the workers above it would stand idle" (int .Values.keda.maxReplicas) (int .Values.kafka.partitions)) -}}
{{- end -}}
{{- if and .Values.keda.enabled .Values.persistence.staticMembers -}}
{{- fail "keda.enabled and persistence.staticMembers exclude each other: a static member that was scaled down is missed only after the session time-out" -}}
{{- end -}}
{{- if and .Values.persistence.staticMembers (not .Values.persistence.enabled) -}}
{{- fail "persistence.staticMembers needs persistence.enabled: only the pods of a StatefulSet keep their names" -}}
{{- end -}}
{{- if and (hasPrefix "sasl" .Values.kafka.securityProtocol) (not .Values.kafka.sasl.secretName) -}}
{{- fail "kafka.sasl.secretName is empty: name a Secret with the keys username and password" -}}
{{- end -}}
{{- if and (or .Values.console.enabled .Values.gateway.enabled) (not .Values.access.userHeader) (not .Values.access.tokensSecret) -}}
{{- fail "console and gateway need access.userHeader (with access.trustedProxies) or access.tokensSecret: nobody could be told from anybody" -}}
{{- end -}}
{{- if and .Values.access.userHeader (not .Values.access.trustedProxies) -}}
{{- fail "access.userHeader needs access.trustedProxies: else anybody could send that header" -}}
{{- end -}}
{{- end -}}

{{/* The container's part that is the same everywhere: image, and what it may do. */}}
{{- define "aegis.container" -}}
image: {{ include "aegis.image" . }}
imagePullPolicy: {{ .root.Values.image.pullPolicy }}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: {drop: [ALL]}
{{- end -}}

{{- define "aegis.envFrom" -}}
- configMapRef:
    name: {{ include "aegis.name" . }}
{{- end -}}

{{/* Variables that are no settings of all parts: "" if there are none. */}}
{{- define "aegis.env" -}}
{{- with .Values.kafka.sasl.secretName }}
- name: AEGIS_SASL_USERNAME
  valueFrom: {secretKeyRef: {name: {{ . }}, key: username}}
{{- end }}
{{- with .Values.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "aegis.mounts" -}}
- {name: tmp, mountPath: /tmp}
{{- if .Values.kafka.sasl.secretName }}
- {name: sasl, mountPath: /etc/aegis/sasl, readOnly: true}
{{- end }}
{{- if .Values.kafka.tls.secretName }}
- {name: tls, mountPath: /etc/aegis/tls, readOnly: true}
{{- end }}
{{- end -}}

{{- define "aegis.experts.mount" -}}
{{- if .Values.experts.existingClaim }}
- {name: experts, mountPath: /var/lib/aegis-experts, readOnly: true}
{{- end }}
{{- end -}}

{{- define "aegis.experts.volume" -}}
{{- with .Values.experts.existingClaim }}
- name: experts
  persistentVolumeClaim: {claimName: {{ . }}, readOnly: true}
{{- end }}
{{- end -}}

{{/* Secrets are files: they are read again at the next connection, and no list of processes shows them. */}}
{{- define "aegis.volumes" -}}
- name: tmp
  emptyDir: {sizeLimit: 256Mi}
{{- with .Values.kafka.sasl.secretName }}
- name: sasl
  secret:
    secretName: {{ . }}
    items: [{key: password, path: password}]
{{- end }}
{{- with .Values.kafka.tls.secretName }}
- name: tls
  secret: {secretName: {{ . }}}
{{- end }}
{{- end -}}

{{- define "aegis.pod" -}}
automountServiceAccountToken: false
enableServiceLinks: false
securityContext:
  runAsNonRoot: true
  runAsUser: 10001
  runAsGroup: 10001
  fsGroup: 10001
  fsGroupChangePolicy: OnRootMismatch
  seccompProfile: {type: RuntimeDefault}
{{- with .Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* A change of settings restarts who reads them. */}}
{{- define "aegis.checksum" -}}
checksum/settings: {{ include (print .Template.BasePath "/settings.yaml") . | sha256sum }}
{{- end -}}

{{/* The variables of every part, as a map. */}}
{{- define "aegis.settings" -}}
AEGIS_BROKER: {{ .Values.kafka.bootstrapServers | quote }}
AEGIS_APP_ID: {{ .Values.kafka.appId | quote }}
AEGIS_TOPIC_PREFIX: {{ .Values.kafka.topicPrefix | quote }}
AEGIS_PARTITIONS: {{ .Values.kafka.partitions | quote }}
AEGIS_REPLICATION_FACTOR: {{ .Values.kafka.replicationFactor | quote }}
AEGIS_SECURITY_PROTOCOL: {{ .Values.kafka.securityProtocol | quote }}
{{- with .Values.kafka.sasl.mechanism }}
AEGIS_SASL_MECHANISM: {{ . | quote }}
{{- end }}
{{- if .Values.kafka.sasl.secretName }}
AEGIS_SASL_PASSWORD_FILE: /etc/aegis/sasl/password
{{- end }}
{{- with .Values.kafka.sasl.tokenUrl }}
AEGIS_SASL_TOKEN_URL: {{ . | quote }}
{{- end }}
{{- with .Values.kafka.sasl.scope }}
AEGIS_SASL_SCOPE: {{ . | quote }}
{{- end }}
{{- if .Values.kafka.tls.secretName }}
AEGIS_SSL_CA_FILE: /etc/aegis/tls/ca.crt
{{- if .Values.kafka.tls.clientCertificate }}
AEGIS_SSL_CERT_FILE: /etc/aegis/tls/tls.crt
AEGIS_SSL_KEY_FILE: /etc/aegis/tls/tls.key
{{- end }}
{{- end }}
AEGIS_DRAIN_TIMEOUT: "{{ .Values.worker.drainTimeout }}s"
AEGIS_SESSION_TIMEOUT: "{{ .Values.worker.sessionTimeout }}s"
AEGIS_STANDBYS: {{ .Values.worker.standbys | quote }}
AEGIS_DATA_DIR: /var/lib/aegis/state
AEGIS_HTTP_PORT: "8600"
AEGIS_LOG_FORMAT: json
AEGIS_DEVICE: {{ ternary "cuda" "cpu" .Values.gpu.enabled }}
{{- if .Values.experts.existingClaim }}
AEGIS_EXPERTS_DIR: /var/lib/aegis-experts
{{- end }}
{{- range $name, $value := .Values.settings }}
{{ $name }}: {{ $value | toString | quote }}
{{- end }}
{{- end -}}
