/** Around every success. */
export interface Envelope<T> {
  status: "success";
  request_id: string;
  message: string;
  timestamp: string;
  data: T;
}

export interface Page<T> extends Envelope<T> {
  total: number;
  limit: number;
  offset: number;
}

export interface Status {
  account_id: string;
  apikey_id: string;
  apikey_name: string | null;
  apikey_prefix: string | null;
  apikey_created_at: string | null;
  apikey_last_used_at: string | null;
  apikey_expires_at: string | null;
}

export interface Usage {
  account_id: string;
  usage_period_days: number;
  usage_credit_balance: number;
  usage_total_requests: number;
  usage_total_success: number;
  usage_total_client_errors: number;
  usage_total_server_errors: number;
  usage_total_generations: number;
  usage_total_provider_submissions: number;
  usage_total_estimated_cost: number;
  usage_endpoints: {
    endpoint: string;
    total_requests: number;
    success_count: number;
    client_error_count: number;
    server_error_count: number;
    error_codes: Record<string, number>;
  }[];
  usage_providers: {
    provider: string;
    total_submissions: number;
    used_count: number;
    cancelled_count: number;
    discarded_count: number;
    failed_count: number;
    total_estimated_cost: number;
    wasted_estimated_cost: number;
  }[];
}

export interface Account {
  account_id: string;
  account_name: string;
  account_email: string | null;
  account_is_personal: boolean;
  account_picture_url: string | null;
  account_created_at: string;
}

export interface Billing {
  account_id: string;
  billing_plan: string | null;
  billing_credit_balance: number;
  billing_subscription_status: string | null;
  billing_cancel_at_period_end: boolean | null;
  billing_currency: string | null;
  billing_period_starts_at: string | null;
  billing_period_ends_at: string | null;
  billing_created_at: string | null;
  billing_updated_at: string | null;
}

export interface EstimateParams {
  count?: number;
  duration?: number;
  resolution?: string;
  audio?: boolean;
}

export interface Estimate {
  model_identifier: string;
  model_type: "image" | "video";
  assets_count: number;
  cost_per_second?: number;
  duration_seconds?: number;
  resolution?: string;
  cost_per_generation: number;
  cost_total_consumed: number;
  credit_balance: number | null;
  credit_balance_can_afford: boolean | null;
  credit_balance_max_affordable: number | null;
}

export interface GenerateParams {
  generation_prompt: string;
  generation_ratio?: string;
  generation_output_format?: string;
  generation_output_number?: number;
  generation_duration?: number;
  generation_resolution?: string;
  generation_generate_audio?: boolean;
  generation_input_file?: string[];
  generation_input_file_last_content?: string;
  generation_provider_order?: string;
  /** Fields of single models. */
  [field: string]: unknown;
}

export interface Initialized {
  model_identifier: string;
  generation_provider_order: string[];
  generation_prediction_id: string;
  generation_id: string;
  generation_initialized: true;
}

export interface CanceledMeanwhile {
  generation_id: string;
  generation_status: "canceled";
}

export type Created = Initialized | CanceledMeanwhile;

export interface Generation {
  account_id: string;
  generation_id: string;
  model_identifier: string;
  generation_provider_order: string[];
  generation_provider_used: string | null;
  generation_prediction_id: string | null;
  generation_status: "pending" | "processing" | "succeeded" | "failed" | "canceled";
  generation_prompt: string;
  generation_ratio: string;
  generation_output_format: string;
  generation_output_number: number;
  generation_input_file: string[] | null;
  generation_output_file: string[] | null;
  generation_created_at: string;
  generation_started_at: string | null;
  generation_completed_at: string | null;
  generation_metrics_total_time: number | null;
  generation_metrics_predict_time: number | null;
  generation_duration?: number;
  generation_resolution?: string;
  generation_generate_audio?: boolean;
  generation_audio_mode?: "audio" | "noaudio";
  generation_error?: string;
  generation_error_code?: string;
  generation_removed?: boolean;
  [field: string]: unknown;
}

export interface Canceled {
  generation_id: string;
  generation_status: "canceled";
  provider_cancel_sent: boolean;
  credits_refunded: boolean;
}

export interface Deleted {
  generation_id: string;
  files_deleted: number;
}

export interface Model {
  model_type: "image" | "video";
  model_identifier: string;
  model_pricing?: number | Record<string, number>;
  model_supported_provider: string[];
  schema: {
    generation_prompt: boolean;
    generation_ratio: string[];
    generation_output_format: string[];
    generation_output_number: number;
    generation_input_file: boolean;
    generation_duration?: number[];
    generation_resolution?: string[];
    generation_generate_audio?: boolean;
  };
  specific_schema: string[];
}

export interface Provider {
  provider_id: string;
  provider_name: string;
  provider_description: string;
  provider_website: string;
  provider_docs: string;
  provider_status: string;
  babysea_implementation: {
    delivery_method: "webhook_with_polling" | "synchronous" | "polling";
    cancel_method: "prediction_cancel_api" | "queue_cancel_api" | null;
    webhook_verification: "hmac_sha256" | "ed25519" | null;
    error_mapping: "bse_error_codes";
    cost_tracking: "per_generation_usd";
    schema_conversion: "unified_to_native";
    failover_strategy: "sequential_provider_chain";
    health_monitoring: "circuit_breaker";
    supported_media_types: ("image" | "video")[];
    supported_models_total: number;
  };
}

export interface ProvidersHealth {
  service: "providers";
  healthy: boolean;
  providers: {
    provider: string;
    status: "healthy" | "recovering" | "degraded" | "unknown";
    failure_rate: number;
    window: {
      total_attempts: number;
      failures: number;
      successes: number;
      duration_seconds: number;
    };
  }[];
  providers_total: number;
}

export interface ModelsHealth {
  service: "models";
  healthy: boolean;
  models: {
    model_identifier: string;
    model_type: "image" | "video" | "unknown";
    model_pricing?: number;
    providers: Record<string, { available: boolean; raw_model_id: string | null }>;
  }[];
  models_total: number;
}

export interface ServiceHealth {
  service: "storage" | "redis";
  healthy: boolean;
  latency_ms: number;
  bucket?: string;
  error?: string;
}
